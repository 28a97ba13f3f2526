"""Whose a container is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dewy.config import PortMapping
from dewy.containers.application import (
    Application,
    image_name,
    index_of,
    is_copy,
    ports_of,
)
from dewy.containers.model import Container

TEAM1 = Application("api", "ghcr.io/team1/api")
TEAM2 = Application("api", "ghcr.io/team2/api")
NAMED = Application("api", "ghcr.io/team1/api", named=True)
ORIGINAL = {"dewy.managed": "true", "dewy.app": "api"}


def made_by(application: Application, image: str = "") -> Container:
    labels = application.labels(0, "v1", "sha256:1", "spec", [PortMapping(8080, 80)])
    return Container("1", "a", "running", labels, image)


def test_its_own_are_its_own():
    assert TEAM1.owns(made_by(TEAM1))
    assert NAMED.owns(made_by(NAMED))


@pytest.mark.parametrize("others", [TEAM2, NAMED, Application("web", TEAM1.repository)])
def test_others_are_others(others: Application):
    assert not TEAM1.owns(made_by(others, "ghcr.io/team1/api:v1"))
    assert not others.owns(made_by(TEAM1, "ghcr.io/team1/api:v1"))


def test_a_name_stays_whatever_the_images_are():
    moved = Application("api", "ghcr.io/elsewhere/api", named=True)

    assert moved.owns(made_by(NAMED))


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("ghcr.io/team1/api:v1", True),
        ("ghcr.io/team1/api@sha256:1", True),
        ("ghcr.io/team1/api:v1@sha256:1", True),
        ("ghcr.io/team2/api:v1", False),
        ("ghcr.io/team1/api/more:v1", False),
        ("", False),
    ],
)
def test_the_originals_are_told_by_their_image(image: str, ours: bool):
    assert ours == TEAM1.owns(Container("1", "a", "running", ORIGINAL, image))


@pytest.mark.parametrize(
    "image",
    [
        "registry-1.docker.io/library/api:v1",
        "docker.io/api:v1",
        "index.docker.io/library/api",
        "api:v1",
    ],
)
def test_those_from_docker_hub_are_told_by_any_of_its_names(image: str):
    """The original named the host that it asked."""
    hub = Application("api", "docker.io/library/api")

    assert hub.owns(Container("1", "a", "running", ORIGINAL, image))


def test_default_port_of_a_registry_makes_no_other_application():
    spelled = Application("api", "ghcr.io:443/team1/api")

    assert spelled.owns(made_by(TEAM1))
    assert TEAM1.owns(made_by(spelled))
    assert spelled.owns(Container("1", "a", "running", ORIGINAL, "ghcr.io/team1/api:1"))
    assert (TEAM1.identity, TEAM1.network) == (spelled.identity, spelled.network)


def test_containers_of_other_roots_are_its_own_only_if_found_at_the_start():
    here = replace(TEAM1, root="web-1:/srv/api")
    others = made_by(replace(TEAM1, root="web-1:/srv/other"))

    assert here.owns(others)
    assert here.having([others.id]).owns(others)
    assert not here.having([]).owns(others)
    assert here.having([]).owns(made_by(here))
    assert here.having([]).owns(made_by(TEAM1))


@pytest.mark.parametrize("labels", [{}, {"dewy.app": "api"}, {"dewy.managed": "true"}])
def test_container_with_missing_labels_is_not_owned(labels: dict[str, str]):
    container = Container("1", "a", "running", labels, "ghcr.io/team1/api:v1")

    assert not TEAM1.owns(container)


def test_every_application_has_a_network_of_its_own():
    others = [TEAM2, NAMED, Application("web", TEAM1.repository)]

    assert 4 == len({each.network for each in [TEAM1, *others]})
    assert TEAM1.network.startswith("dewy-api-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("12", 12), ("", -1), ("-1", -1), ("x", -1), ("²", -1), ("9" * 20, -1)],
)
def test_a_number_that_is_none_is_unknown(text: str, expected: int):
    assert expected == index_of({"dewy.replica": text})


def mappings(text: str) -> list[PortMapping]:
    """From `8080:80 9090`, as the command line has them."""
    pairs = [each.partition(":") for each in text.split()]
    return [PortMapping(int(proxy), int(port or 0)) for proxy, _, port in pairs]


def test_container_ports_follow_mappings_at_creation():
    made = mappings("80:8000 81:8001 82:8000")
    labels = TEAM1.labels(0, "v1", "sha256:1", "spec", made)
    container = Container("1", "a", "running", labels)

    assert {0: 8000, 1: 8001, 2: 8000} == ports_of(container, made)


def test_same_port_at_two_addresses_maps_to_two_ports():
    made = [PortMapping(80, 8000, "127.0.0.1"), PortMapping(80, 8001, "::1")]
    labels = TEAM1.labels(0, "v1", "sha256:1", "spec", made)
    container = Container("1", "a", "running", labels)

    assert {0: 8000, 1: 8001} == ports_of(container, made)


@pytest.mark.parametrize(
    ("made", "wanted", "expected"),
    [
        ("80:8000", "80", {0: 8000}),
        # A port more, a port less, others than before.
        ("80:8000", "70:7000 80:8000", {1: 8000}),
        ("70:7000 80:8000", "80:8000", {0: 8000}),
        ("80:8000", "81:8000", {0: 8000}),
        ("70:7000 80:8000", "71 80:8000", {0: 7000, 1: 8000}),
        ("70:7000 80:8000", "80 90", {0: 8000}),
        ("70:7000 80:8000", "70:8000 80:7000", {0: 8000, 1: 7000}),
        # The next version will listen elsewhere.
        ("80:8000", "80:9000", {0: 8000}),
        ("80:8000", "81:9000", {0: 8000}),
        ("70:7000 80:8000", "70 80:9000", {0: 7000, 1: 8000}),
        ("80:8000", "80 81", {0: 8000, 1: 8000}),
        # What the image exposes may be anything.
        ("80:8000", "70 80:8000", {1: 8000}),
        ("70:7000 80:8000", "80:8000 90", {0: 8000}),
        ("80:8000,x:1,90", "80:8000 90:9000", {0: 8000}),
    ],
)
def test_container_with_other_mappings_serves_matching_ports(
    made: str, wanted: str, expected: dict[int, int]
):
    """Never may one port lead to where another is meant to."""
    labels = {"dewy.ports": made.replace(" ", ",")}
    published = {int(port): 1 for port in ("8000", "7000") if port in made}
    container = Container("1", "a", "running", labels, published=published)

    assert expected == ports_of(container, mappings(wanted))


@pytest.mark.parametrize(
    ("published", "wanted", "expected"),
    [
        ([8000], "80", {0: 8000}),
        ([8000], "80:8000 81:8000", {0: 8000, 1: 8000}),
        ([80, 443], "8080:443 8443:80", {0: 443, 1: 80}),
        ([80, 443], "8080 8443:443", {0: 80, 1: 443}),
        ([8000], "80:9000", {0: 8000}),
        ([443], "8080 8443:443", {0: 443, 1: 443}),
        ([80, 443], "8080 8443", {}),
        ([80, 443], "8080:8000 8443:443", {1: 443}),
        ([], "80", {}),
    ],
)
def test_ports_of_original_container_follow_published_ports(
    published: list[int], wanted: str, expected: dict[int, int]
):
    there = dict.fromkeys(published, 1)
    container = Container("1", "a", "running", ORIGINAL, published=there)

    assert expected == ports_of(container, mappings(wanted))


@pytest.mark.parametrize(
    ("image", "labels", "expected"),
    [
        ("ghcr.io/a/b@sha256:1", {"dewy.version": "v1"}, "ghcr.io/a/b:v1"),
        ("ghcr.io/a/b:v1", {"dewy.version": "v2"}, "ghcr.io/a/b:v1"),
        ("ghcr.io/a/b@sha256:1", {}, "ghcr.io/a/b@sha256:1"),
        ("sha256:2", {"dewy.version": "v1"}, "sha256:2"),
    ],
)
def test_image_is_shown_by_its_tag(image: str, labels: dict[str, str], expected: str):
    assert expected == image_name(Container("1", "a", "running", labels, image))


def test_container_made_from_a_copy_of_a_replica_is_not_owned() -> None:
    labels = TEAM1.labels(0, "v1", "sha256:1", "spec", [], "sha256:made")
    replica = Container("1", "a", "running", labels, image_id="sha256:made")
    committed = Container("2", "b", "running", labels, image_id="sha256:copy")

    assert (True, False) == (TEAM1.owns(replica), TEAM1.owns(committed))
    assert (False, True) == (is_copy(replica), is_copy(committed))
