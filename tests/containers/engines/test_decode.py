"""JSON of both engines, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from dewy.containers.engines.decode import (
    SECOND,
    carries,
    container,
    digest,
    event,
    familiar,
    image,
    label_filter,
    lines,
    network,
    repository,
)
from dewy.containers.model import Event

ID = "5af913445500115a8b61582f72559da4e030a26e12f371ea88a268ca9d78b5b9"


def inspected(**state: Any) -> dict[str, Any]:
    """A container as an engine shows it."""
    return {
        "Id": ID,
        "Name": "/api-1",
        "Created": "2026-11-25T21:54:10.764163096Z",
        "Image": "sha256:ee8c",
        "RestartCount": 2,
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "2026-11-25T21:54:11.499705728Z",
            "Pid": 3461,
            **state,
        },
        "Config": {"Labels": None, "Image": "r/x:1", "Env": ["TOKEN=verysecret"]},
        "NetworkSettings": {
            "Networks": {
                "bridge": {"IPAddress": "172.17.0.2"},
                "six": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"},
                "none": {"IPAddress": ""},
            },
            "Ports": {
                "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32769"}],
                "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
                "9000/tcp": [{"HostIp": "192.0.2.1", "HostPort": "9"}],
                "9090/tcp": None,
            },
        },
    }


def test_running_container_has_addresses_and_ports() -> None:
    shown = container(inspected())

    assert {"bridge": "172.17.0.2", "six": "fd00::2"} == shown.addresses
    assert {8080: 32769} == shown.published
    assert ("api-1", "running", None, 2, 3461) == (
        shown.name,
        shown.state,
        shown.exit_code,
        shown.restarts,
        shown.pid,
    )
    assert {} == shown.labels


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        ("created", "created", None),
        ("configured", "created", None),
        ("initialized", "created", None),
        ("paused", "paused", None),
        ("exited", "exited", 7),
        ("stopped", "exited", 7),
        ("dead", "dead", 7),
    ],
)
def test_container_that_does_not_run_has_neither(
    status: str, state: str, code: int | None
) -> None:
    """Podman lists the ports of containers that have ended."""
    shown = container(inspected(Status=status, ExitCode=7))

    assert (state, code) == (shown.state, shown.exit_code)
    assert ({}, {}, 0) == (shown.addresses, shown.published, shown.pid)


def test_container_that_is_about_to_stop_still_runs() -> None:
    assert container(inspected(Status="stopping")).running


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({"Status": "healthy"}, "healthy"),
        ({"Status": ""}, ""),
        ({"Status": "none"}, ""),
        (None, ""),
    ],
)
def test_health_is_told_where_there_is_a_check(health: Any, expected: str) -> None:
    assert expected == container(inspected(Health=health)).health


def test_unset_start_time_is_decoded_as_empty() -> None:
    assert "" == container(inspected(StartedAt="0001-01-01T00:00:00Z")).started_at


def test_reason_quotes_no_environment() -> None:
    shown = container(inspected(Error="exec: TOKEN=verysecret:\n no such file"))

    assert "exec: ***: no such file" == shown.error


def test_image_of_podman_is_the_same_image() -> None:
    """It lists digests among the tags, and ids without their algorithm."""
    shown = image(
        {
            "Id": "ee8c",
            "RepoTags": ["r/x:1", "r/x@sha256:aa", "<none>:<none>"],
            "RepoDigests": ["r/x@sha256:aa", "r/x@sha256:bb"],
            "Created": "2031-01-01T00:00:00Z",
            "Os": "linux",
            "Architecture": "arm",
            "Variant": "v7",
            "Config": {"ExposedPorts": {"9090/tcp": {}, "80/tcp": {}, "53/udp": {}}},
        }
    )

    assert "sha256:ee8c" == shown.id
    assert ("r/x:1",) == shown.tags
    assert ("r/x@sha256:aa", "r/x@sha256:bb") == shown.digests
    assert (80, 9090) == shown.ports
    assert "linux/arm/v7" == shown.platform
    assert not shown.healthcheck


@pytest.mark.parametrize(
    ("test", "expected"),
    [(["CMD", "/app"], True), (["NONE"], False), ([], False), (None, False)],
)
def test_healthcheck_may_be_taken_back(test: Any, expected: bool) -> None:
    config = {"Healthcheck": {"Test": test}}

    assert expected is image({"Id": "a", "Config": config}).healthcheck


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.25", "docker.io/library/nginx"),
        ("team/api@sha256:aa", "docker.io/team/api"),
        ("index.docker.io/team/api:1", "docker.io/team/api"),
        ("registry-1.docker.io/team/api:1", "docker.io/team/api"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/api:1", "localhost/api"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("r.example/a:1@sha256:aa", "r.example/a"),
    ],
)
def test_repository_of_a_reference(reference: str, expected: str) -> None:
    assert expected == repository(reference)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/library/nginx:1.25", "nginx"),
        ("index.docker.io/team/api@sha256:aa", "team/api"),
        ("r.example/library/a", "r.example/library/a"),
        ("localhost/library/a", "localhost/library/a"),
    ],
)
def test_filters_know_docker_hub_by_no_name(reference: str, expected: str) -> None:
    assert expected == familiar(reference)


def test_only_a_bridge_has_addresses_of_the_host() -> None:
    data = {"Name": "n", "IPAM": {"Config": [{"Gateway": "10.0.0.1"}, {}]}}

    assert ("10.0.0.1",) == network({**data, "Driver": "bridge"}).gateways
    assert () == network({**data, "Driver": "macvlan"}).gateways
    for part, first in (
        ({"Subnet": "10.1.2.0/24"}, "10.1.2.1"),
        ({"Subnet": "10.1.2.0/24", "IPRange": "10.1.2.128/25"}, "10.1.2.129"),
        ({"Subnet": "fd00:1::/64"}, "fd00:1::1"),
    ):
        bare = {"Name": "n", "Driver": "bridge", "IPAM": {"Config": [part]}}
        assert (first,) == network(bare).gateways
    assert () == network({"Name": "n", "Driver": "bridge", "IPAM": None}).gateways


def told(action: str, kind: str = "container", **attributes: str) -> dict[str, Any]:
    return {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ID, "Attributes": attributes},
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (told("die", mine="", exitCode="137"), Event("die", ID, "137")),
        (told("died", mine="", exitCode="1"), Event("die", ID, "1")),
        (told("remove", mine=""), Event("destroy", ID)),
        (
            told("health_status: healthy", mine=""),
            Event("health_status", ID, "healthy"),
        ),
        (
            told("health_status", mine="") | {"HealthStatus": "unhealthy"},
            Event("health_status", ID, "unhealthy"),
        ),
        (told("disconnect", "network", container=ID), Event("disconnect", ID)),
        (
            told("disconnect", "network", container=ID, name="metrics"),
            Event("disconnect", ID, "metrics"),
        ),
        (told("disconnect", "network", container="other"), None),
        (told("start"), None),
        (told("exec_start: /check --token=x", mine=""), None),
        (told("cleanup", mine=""), Event("cleanup", ID)),
        (told("pull", "image"), None),
        ({}, None),
    ],
)
def test_event_in_words_of_docker(data: Any, expected: Event | None) -> None:
    assert expected == event(data, {"mine": None}, {ID})


def test_labels_match_by_name_or_by_value() -> None:
    assert carries({"a": "1", "b": ""}, {"a": "1", "b": None})
    assert not carries({"a": "1"}, {"a": "2"})
    assert not carries({}, {"a": None})
    assert ["a=1", "b"] == label_filter({"a": "1", "b": None})
    assert ("", "sha256:a", "sha256:a") == (
        digest(""),
        digest("a"),
        digest("sha256:a"),
    )


def test_lines_carry_their_moments() -> None:
    """As Docker has them, and as Podman does; the rest of a line goes with it."""
    found = lines(
        "2031-02-03T04:05:06.07Z one\n"
        "more\n"
        "2031-02-03T05:05:06.070000001+01:00 \n"
        "2031-02-03T04:05:07Z two words\n"
        "2031-02-03T04:05:07Z three\n"
    )

    assert ["one", "more", "", "two words", "three"] == [line.text for line in found]
    first = found[0].at
    assert 70_000_000 == first % SECOND
    moments = [line.at - first for line in found]
    assert [0, 0, 1, 930_000_000, 930_000_001] == moments
