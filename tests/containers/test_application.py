"""Whose a container is."""

from __future__ import annotations

import pytest

from dewy.containers.application import (
    Application,
    index_of,
    ports_of,
    reference_of,
    repository_of,
)
from dewy.containers.model import Container

TEAM1 = Application("api", "ghcr.io/team1/api")
TEAM2 = Application("api", "ghcr.io/team2/api")
NAMED = Application("api", "ghcr.io/team1/api", named=True)
ORIGINAL = {"dewy.managed": "true", "dewy.app": "api"}


def made_by(application: Application, image: str = "") -> Container:
    labels = application.labels(0, "v1", "sha256:1", "spec", (80,))
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


@pytest.mark.parametrize("labels", [{}, {"dewy.app": "api"}, {"dewy.managed": "true"}])
def test_without_labels_it_is_nobodys(labels: dict[str, str]):
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


def test_ports_are_those_it_says_or_published():
    published = {90: 1, 80: 2}
    stated = Container("1", "a", "running", {"dewy.ports": "90,80,x"}, "")

    assert (90, 80) == ports_of(stated)
    assert (80, 90) == ports_of(Container("1", "a", "running", published=published))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("localhost:5000/a/b:v1", "localhost:5000/a/b"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("busybox:1", "busybox"),
        (reference_of("ghcr.io/a/b", "sha256:1"), "ghcr.io/a/b"),
    ],
)
def test_a_repository_is_what_is_left(reference: str, expected: str):
    assert expected == repository_of(reference)
