"""Commands to a `dewy proxy`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import operate
from dewy.admin.client import NotRunning, ask
from dewy.admin.control import PROXY_SOCKET
from dewy.admin.discovery import everywhere
from dewy.config import Endpoint, Settings
from dewy.daemon.proxy import beside
from dewy.deploy.lock import lock
from dewy.errors import DewyError
from dewy.proxy import Proxy
from dewy.proxy.frontend import Frontend
from dewy.proxy.standalone import ProxyReload
from dewy.systemd import Service
from tests.eventually import eventually
from tests.proxy.test_pausing import connected

BACKEND = Endpoint("127.0.0.1", 1)


def settings(root: Path, **given: Any) -> Settings:
    return Settings(
        command="proxy",
        root=root,
        cache_dir=root,
        listen=(Endpoint("127.0.0.1", 0),),
        backends=(BACKEND,),
        **given,
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Frontend]:
    given = settings(tmp_path)
    async with Proxy(threads=1) as proxy:
        found = Frontend(proxy, given)
        await found.open(())
        reload = ProxyReload(found, Service(), lambda: given)
        async with beside(found, reload):
            yield found
        await found.stop()


async def test_status_is_that_of_the_proxy(running: Frontend, tmp_path: Path) -> None:
    """Where nothing was ever deployed."""
    told = await operate.look(settings(tmp_path))
    assert ("proxy", True) == (told["command"], told["healthy"])
    assert [str(BACKEND)] == [each["address"] for each in told["backends"]]
    assert 1 == len(told["ports"])


async def test_proxy_is_among_the_dewys_of_this_host(
    running: Frontend, tmp_path: Path, unused_tcp_port: int
) -> None:
    found = await everywhere(unused_tcp_port)
    assert ["proxy"] == [e.mode for e in found if e.status["root"] == str(tmp_path)]


async def test_proxy_reloads_on_request(running: Frontend, tmp_path: Path) -> None:
    told = await ask(tmp_path / ".dewy", "reload", through=PROXY_SOCKET)
    assert "nothing changed" == told["message"]


async def test_proxy_pauses_and_resumes(running: Frontend, tmp_path: Path) -> None:
    """A port that a reload opens meanwhile waits as well."""
    private = tmp_path / ".dewy"
    told = await ask(private, "pause", through=PROXY_SOCKET, seconds=None)
    assert "new connections wait until `dewy resume`" == told["message"]
    status = await operate.look(settings(tmp_path))
    assert (True, ["new connections are paused; `dewy resume` ends it"]) == (
        status["paused"],
        status["attention"],
    )
    new = Endpoint("127.0.0.2", 0)
    listen = (*running.settings.listen, new)
    await running.apply(replace(running.settings, listen=listen))
    ports = [pool.port for pool in running.pools.values()]
    streams = [await connected(port) for port in ports]
    assert [0, 0] == [port.stats().accepted for port in ports]
    told = await ask(private, "resume", through=PROXY_SOCKET)
    assert "connections are accepted again" == told["message"]
    await eventually(lambda: [1, 1] == [port.stats().accepted for port in ports])
    for _, writer in streams:
        writer.close()


async def test_proxy_resumes_by_itself(running: Frontend, tmp_path: Path) -> None:
    told = await ask(tmp_path / ".dewy", "pause", through=PROXY_SOCKET, seconds=0.01)
    assert "new connections wait for 0.01 s" == told["message"]
    await eventually(lambda: not running.paused)


async def test_proxy_deploys_nothing(running: Frontend, tmp_path: Path) -> None:
    with pytest.raises(DewyError, match="does not know rollback"):
        await ask(tmp_path / ".dewy", "rollback", through=PROXY_SOCKET)


@pytest.mark.parametrize("verb", ["hold", "unhold", "rollback", "deploy", "abort"])
async def test_command_that_deploys_leaves_no_state_in_the_root_of_a_proxy(
    running: Frontend, tmp_path: Path, verb: str
) -> None:
    """It would hide the proxy from `status`."""
    with pytest.raises(DewyError, match=f"deploys nothing, and does not know {verb}"):
        await operate.operate(settings(tmp_path), verb)
    assert "proxy" == (await operate.look(settings(tmp_path)))["command"]


async def test_command_for_another_dewy_tells_of_the_proxy(
    running: Frontend, tmp_path: Path
) -> None:
    with pytest.raises(NotRunning, match=r"only a dewy proxy \(pid \d+\)$"):
        await ask(tmp_path / ".dewy", "logs")


async def test_proxy_runs_beside_the_dewy_of_its_root(
    running: Frontend, tmp_path: Path
) -> None:
    """Whose lock it leaves alone."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, lock(tmp_path / ".dewy"))
        assert "proxy" == (await operate.look(settings(tmp_path)))["command"]


async def test_second_proxy_of_a_directory_relays_without_commands(
    running: Frontend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so."""
    reload = ProxyReload(running, Service(), lambda: settings(tmp_path))
    async with beside(running, reload):
        assert "Control socket not opened" in caplog.text
    assert "proxy" == (await operate.look(settings(tmp_path)))["command"]
