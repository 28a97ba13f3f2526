"""Dewy as a service of systemd: its sockets, and what it tells."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.needs import needs
from tests.standins.load import Load
from tests.standins.site import Dewy
from tests.standins.systemd import Activated, Held, Manager

Measured = Callable[[object], None]


def prepared(dewy: Dewy) -> Dewy:
    dewy.root.mkdir()
    dewy.registry.mkdir()
    dewy.publish("v1.0.0")
    return dewy


@needs("systemd-socket-activate")
@pytest.mark.parametrize("port_told", [True, False], ids=["--port", "no --port"])
async def test_listener_comes_from_socket_activation(
    tmp_path: Path, unused_tcp_port: int, port_told: bool
) -> None:
    """The connection that started dewy is answered by the program it deploys."""
    dewy = Activated(tmp_path, unused_tcp_port if port_told else 0)
    dewy.listen = f"127.0.0.1:{unused_tcp_port}"
    prepared(dewy)
    async with dewy:
        await dewy.listens()
        dewy.port = unused_tcp_port

        assert "v1.0.0" == await dewy.fetch()
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Dewy]:
    """A dewy on a port that stays open whatever becomes of it."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        yield prepared(Held(tmp_path, port, passed=[listener.fileno()]))


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_connections_wait_while_dewy_itself_is_restarted(
    held: Dewy, end: str, measured: Measured
) -> None:
    """After `kill -9` too: the program ends in order, told by the kernel."""
    await held.start()
    try:
        await held.runs("v1.0.0")
        async with Load(held.port, rate=100, kept=4) as load:
            for _ in range(2):
                await getattr(held, end)()
                await load.goes_on(arrivals=20)
                await held.start()
                await held.runs("v1.0.0")
                await load.goes_on(arrivals=20)
    finally:
        await held.stop()
    measured(load.report)

    assert {} == load.report.failures, load.report.examples


@dataclass
class Silent:
    """An API that takes requests and never answers."""

    url: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.set()
        await reader.read()
        writer.close()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    api = Silent()
    server = await asyncio.start_server(api.take, "127.0.0.1", 0)
    async with server:
        api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield api


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as manager:
        yield manager


@pytest.fixture
async def deployed(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    """A root with a release in it, and no dewy."""
    dewy = prepared(Dewy(tmp_path, unused_tcp_port))
    async with dewy:
        await dewy.runs("v1.0.0")
    return dewy


async def test_readiness_does_not_wait_for_the_registry(
    deployed: Dewy, manager: Manager, silent: Silent
) -> None:
    """What was deployed serves, and systemd is told, from what is on disk."""
    deployed.registry_url = "ghr://acme/app"
    deployed.variables = {
        "GITHUB_API_URL": silent.url,
        "GITHUB_TOKEN": "test",
        "NOTIFY_SOCKET": manager.address,
    }
    async with deployed:
        await manager.hears(lambda heard: "READY=1" in heard)
        async with asyncio.timeout(60):
            await silent.asked.wait()

        assert "STATUS=v1.0.0 runs" in manager.heard
        assert "v1.0.0" == await deployed.fetch()


async def test_manager_hears_how_dewy_is_from_start_to_end(
    deployed: Dewy, manager: Manager
) -> None:
    """More time first, then readiness, signs of life, and the beginning of the end."""
    deployed.variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"}
    async with deployed:
        await manager.hears(lambda heard: "READY=1" in heard)
        started = manager.heard.copy()
        await manager.hears(lambda heard: heard.count("WATCHDOG=1") >= 4)
        before = len(manager.heard)

        assert 0 == await deployed.stop()
    await manager.hears(lambda heard: "STOPPING=1" in heard)
    ended = manager.heard[before:]

    assert "EXTEND_TIMEOUT_USEC" in names(started[: started.index("READY=1")])
    assert "EXTEND_TIMEOUT_USEC" in names(ended)
    assert "STATUS=Stopping on SIGTERM" in ended


async def test_program_is_told_nothing_that_was_meant_for_dewy(
    held: Dewy, manager: Manager
) -> None:
    """Neither whom dewy notifies, nor its watchdog, nor its process id."""
    held.variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"}
    async with held:
        status = await held.runs("v1.0.0")
        pid = status["generations"][0]["pid"]
        lines = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_text)
    variables = dict(line.split("=", 1) for line in lines.split("\0") if line)

    assert manager.address != variables["NOTIFY_SOCKET"]
    assert "WATCHDOG_USEC" not in variables
    assert str(pid) == variables["LISTEN_PID"]
    assert "1" == variables["LISTEN_FDS"]


def names(lines: list[str]) -> set[str]:
    return {line.partition("=")[0] for line in lines}
