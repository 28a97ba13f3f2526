"""The way to an engine, and the clear line where there is none."""

from __future__ import annotations

import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from dewy.containers.engines.opening import Runtime, open_engine
from dewy.errors import ConfigError, EngineError, ImplementationUnavailable
from tests.containers.conftest import SHORT
from tests.standins.engines import RealEngine
from tests.standins.fake_engine import PODMAN, FakeEngine


async def test_opened_engine_reports_flavour_address_and_locality(
    fake: FakeEngine,
) -> None:
    async with open_engine("docker", {"DOCKER_HOST": fake.url}) as engine:
        assert "docker" == engine.flavour
        assert fake.url == engine.address
        assert engine.local
        assert sys.platform != "linux" or not engine.rootless


@pytest.mark.parametrize(
    ("info", "rootless"),
    [
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, True),
        ({"SecurityOptions": None, "OperatingSystem": "Docker Desktop"}, True),
        ({"SecurityOptions": ["name=seccomp,profile=default"]}, False),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all are in a machine")
async def test_docker_apart_from_this_host_is_recognised(
    fake: FakeEngine, info: object, rootless: bool
) -> None:
    fake.answer("info", info)

    async with open_engine("docker", {"DOCKER_HOST": fake.url}) as engine:
        assert rootless is engine.rootless


@pytest.mark.parametrize("rootless", [True, False])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all are in a machine")
async def test_podman_rootless_mode_is_queried_from_engine(rootless: bool) -> None:
    """Whoever owns the socket: it may be passed on."""
    async with FakeEngine(**PODMAN) as fake:
        fake.answer("libpod/info", podman(rootless=rootless))

        async with open_engine("podman", {"CONTAINER_HOST": fake.url}) as engine:
            assert ("podman", rootless) == (engine.flavour, engine.rootless)


def podman(
    *, uid: int = 1000, rootless: bool = True, storage: str = "/storage"
) -> dict[str, object]:
    """What a Podman tells of itself, with an id that is another each time."""
    mapped = [
        {"container_id": 0, "host_id": uid, "size": 1},
        {"container_id": 1, "host_id": 100000, "size": 65536},
    ]
    host = {
        "hostname": "web-1",
        "security": {"rootless": rootless},
        "idMappings": {"uidmap": mapped if rootless else None},
    }
    return {"host": host, "store": {"graphRoot": storage}, "ID": str(uuid.uuid4())}


async def identity(info: object, **headers: str) -> str:
    """Of an engine that tells *info* of itself, at a socket of its own."""
    async with FakeEngine(**headers) as fake:
        fake.answer("libpod/info" if headers else "info", info)
        runtime: Runtime = "podman" if headers else "docker"
        variable = "CONTAINER_HOST" if headers else "DOCKER_HOST"
        async with open_engine(runtime, {variable: fake.url}) as engine:
            return engine.identity


async def test_docker_is_known_by_its_id() -> None:
    one, same, other = [await identity({"ID": name}) for name in ("a", "a", "b")]

    assert one == same
    assert one != other


@pytest.mark.parametrize(
    "other",
    [{"uid": 1001}, {"rootless": False}, {"storage": "/srv/storage"}],
)
async def test_podman_is_known_by_its_user_and_storage(other: Any) -> None:
    one, same = await identity(podman(), **PODMAN), await identity(podman(), **PODMAN)

    assert one == same
    assert one != await identity(podman(**other), **PODMAN)


async def test_podman_in_the_place_of_docker_is_welcome() -> None:
    async with (
        FakeEngine(**PODMAN) as fake,
        open_engine("docker", {"DOCKER_HOST": fake.url}) as engine,
    ):
        assert "podman" == engine.flavour


async def test_docker_in_the_place_of_podman_is_a_mistake(fake: FakeEngine) -> None:
    with pytest.raises(ConfigError, match="use --runtime docker"):
        async with open_engine("podman", {"CONTAINER_HOST": fake.url}):
            pass


async def test_engine_that_hangs_is_told_at_the_start(fake: FakeEngine) -> None:
    fake.hanging = {"*"}

    with pytest.raises(EngineError, match=r"no answer .*systemctl start docker"):
        async with open_engine("docker", {"DOCKER_HOST": fake.url}, SHORT):
            pass


@pytest.mark.parametrize("headers", [{}, {"Api-Version": "nonsense"}])
async def test_invalid_engine_response_fails_at_startup(
    fake: FakeEngine, headers: dict[str, str]
) -> None:
    fake.headers = headers

    with pytest.raises(EngineError, match="makes no sense"):
        async with open_engine("docker", {"DOCKER_HOST": fake.url}):
            pass


@pytest.fixture
def _no_aiodocker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    users = ("client", "docker", "docker_images", "docker_networks", "event_stream")
    ours = {f"dewy.containers.engines.{name}" for name in users}
    for name in [*sys.modules]:
        if name.partition(".")[0] == "aiodocker" or name in ours:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiodocker", None)


@pytest.mark.usefixtures("_no_aiodocker")
async def test_missing_package_is_named(fake: FakeEngine) -> None:
    with pytest.raises(ImplementationUnavailable, match="pip install 'aiodocker>="):
        async with open_engine("docker", {"DOCKER_HOST": fake.url}):
            pass


async def test_engine_may_be_reached_by_tcp() -> None:
    """A port that nobody listens on: what was tried is told."""
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9"):
        async with open_engine("docker", {"DOCKER_HOST": "tcp://127.0.0.1:9"}):
            pass


async def test_certificates_that_are_none_are_named() -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "ca.pem").write_text("nonsense", encoding="utf-8")
        environ = {
            "DOCKER_HOST": "tcp://127.0.0.1:9",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": directory,
        }
        with pytest.raises(ConfigError, match=r"DOCKER_CERT_PATH: .* no usable"):
            async with open_engine("docker", environ):
                pass


async def test_engines_of_this_machine_are_found(engine: RealEngine) -> None:
    assert engine.runtime == engine.engine.flavour
    assert engine.engine.local
