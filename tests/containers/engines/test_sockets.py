"""Where engines are looked for, and what is said when there is none."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.containers.engines.opening import (
    EngineAddress,
    Runtime,
    candidates,
    choose,
    is_remote,
    look,
)
from dewy.errors import ConfigError, EngineError


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough for a socket's address."""
    with tempfile.TemporaryDirectory(prefix="dewy-") as made:
        yield Path(made)


@pytest.mark.parametrize(
    ("runtime", "environ", "uid", "expected"),
    [
        ("docker", {}, 0, ["/run/docker.sock", "/var/run/docker.sock"]),
        (
            "docker",
            {"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/srv/me"},
            7,
            [
                "/run/docker.sock",
                "/var/run/docker.sock",
                "/run/user/7/docker.sock",
                "/srv/me/.docker/run/docker.sock",
            ],
        ),
        ("docker", {"DOCKER_HOST": "unix:///x.sock"}, 0, ["/x.sock"]),
        ("docker", {"CONTAINER_HOST": "unix:///x.sock"}, 0, None),
        (
            "podman",
            {},
            0,
            ["/run/podman/podman.sock", "/run/user/0/podman/podman.sock"],
        ),
        (
            "podman",
            {"XDG_RUNTIME_DIR": "/run/user/7"},
            7,
            ["/run/user/7/podman/podman.sock", "/run/podman/podman.sock"],
        ),
        ("podman", {"CONTAINER_HOST": "unix:///x.sock"}, 0, ["/x.sock"]),
        (
            "podman",
            {"DOCKER_HOST": "unix:///run/podman/other.sock"},
            0,
            ["/run/podman/other.sock"],
        ),
        ("podman", {"DOCKER_HOST": "unix:///run/docker.sock"}, 0, None),
    ],
)
def test_places_in_the_order_they_are_tried(
    runtime: Runtime, environ: dict[str, str], uid: int, expected: list[str] | None
) -> None:
    """Foreign variables (None) leave the usual places."""
    places = [place.path for place in candidates(runtime, environ, uid)]

    if expected is None:
        assert candidates(runtime, {}, uid) == candidates(runtime, environ, uid)
    else:
        assert expected == places


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ssh://me:secret@host", "needs its socket"),
        ("npipe:////./pipe/docker_engine", "must be of the form"),
        ("unix://relative", "must be of the form"),
        ("127.0.0.1:2375", "must be of the form"),
        ("tcp://", "DOCKER_HOST"),
    ],
)
def test_variable_that_can_not_be_used_is_named(value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        candidates("docker", {"DOCKER_HOST": value}, 0)

    assert "DOCKER_HOST" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://[::1]:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://192.0.2.7:2375", False),
        ("tcp://build.example:2375", False),
    ],
)
def test_address_is_local_only_for_unix_socket_or_loopback(
    url: str, local: bool
) -> None:
    assert local is EngineAddress(url).local


@pytest.mark.parametrize(("host", "far"), [("127.0.0.1", False), ("127.0.0.2", True)])
async def test_engine_may_be_another_hosts(
    host: str, far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 stands for one: it is called from 127.0.0.1."""
    monkeypatch.setattr(EngineAddress, "local", False)
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]

        assert far is await is_remote(
            EngineAddress(f"tcp://{host}:{port}", "DOCKER_HOST")
        )


async def test_engine_that_went_away_is_no_other_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EngineAddress, "local", False)

    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9"):
        await is_remote(EngineAddress("tcp://127.0.0.1:9"))


def test_socket_is_there_absent_or_silent(directory: Path) -> None:
    """Knocking tells them apart."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "there"))
        listener.listen()

        assert "there" == look(str(directory / "there"))
    assert "silent" == look(str(directory / "there"))
    assert "absent" == look(str(directory / "absent"))
    # No start of an engine turns these into sockets.
    (directory / "file").touch()
    assert "absent" == look(str(directory / "file"))
    assert "absent" == look(str(directory))


async def test_first_that_answers_is_chosen(directory: Path) -> None:
    places = [EngineAddress(f"unix://{directory / name}") for name in ("a", "b")]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(places[1].path)
        listener.listen()

        assert places[1] == await choose("docker", places)


@pytest.mark.parametrize(
    ("runtime", "right"),
    [
        ("docker", "systemctl start docker"),
        ("podman", "systemctl enable --now podman.socket"),
    ],
)
async def test_missing_engine_error_lists_tried_sockets(
    directory: Path, runtime: Runtime, right: str
) -> None:
    places = [EngineAddress(f"unix://{directory / name}") for name in ("a", "b")]

    with pytest.raises(ConfigError) as refused:
        await choose(runtime, places)

    message = str(refused.value)
    assert "\n" not in message
    assert all(place.path in message for place in places)
    assert f"--runtime {runtime}" in message
    assert right in message


async def test_socket_without_an_engine_is_told_apart(directory: Path) -> None:
    place = EngineAddress(f"unix://{directory / 'left'}", "DOCKER_HOST")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place.path)

    with pytest.raises(EngineError, match=r"nothing answers at .*DOCKER_HOST"):
        await choose("docker", [place])


async def test_missing_permission_names_the_group(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may do everything, so the finding is made up."""
    monkeypatch.setattr("dewy.containers.engines.opening.look", lambda path: "denied")

    with pytest.raises(ConfigError, match=r"no permission .* group docker"):
        await choose("docker", [EngineAddress("unix:///run/docker.sock")])
