"""Active checks of the proxy's backends."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint, Settings
from dewy.daemon.proxy import BackendHealth, checked
from dewy.proxy import Proxy
from dewy.proxy.frontend import Frontend
from tests.eventually import eventually

LOOPBACK = Endpoint("127.0.0.1", 0)


@dataclass
class Web:
    """A backend that answers each request with its status."""

    status: int = 200
    endpoint: Endpoint = LOOPBACK

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {self.status} X\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def webs() -> AsyncIterator[list[Web]]:
    """Two backends."""
    found, servers = [Web(), Web()], []
    for each in found:
        server = await asyncio.start_server(each.serve, "127.0.0.1", 0)
        servers.append(server)
        each.endpoint = Endpoint(*server.sockets[0].getsockname())
    yield found
    for server in servers:
        server.close()


@pytest.fixture
async def frontend(webs: list[Web]) -> AsyncIterator[Frontend]:
    given: dict[str, Any] = {"health_path": "/up", "health_interval": 0.02}
    settings = Settings(
        command="proxy",
        root=Path("/"),
        cache_dir=Path("/"),
        listen=(LOOPBACK,),
        backends=tuple(each.endpoint for each in webs),
        **given,
    )
    async with Proxy(threads=1) as proxy:
        found = Frontend(proxy, settings)
        await found.open(())
        yield found
        await found.stop()


def ejected(frontend: Frontend) -> list[Endpoint]:
    (pool,) = frontend.pools.values()
    return [each.endpoint for each in pool.port.serving if each.ejected]


async def test_failing_backend_is_ejected_and_restored_at_thresholds(
    frontend: Frontend, webs: list[Web], caplog: pytest.LogCaptureFixture
) -> None:
    """As --health-fall and --health-rise say, and the log."""
    health = BackendHealth(frontend)
    await health.look()
    webs[1].status = 503
    for _ in range(2):
        await health.look()
        assert [] == ejected(frontend)
    await health.look()
    assert [webs[1].endpoint] == ejected(frontend)
    assert not await frontend.probe(frontend.pools[LOOPBACK].port.serving[1])
    (told,) = [r for r in caplog.records if r.getMessage() == "Backend unhealthy"]
    assert f"{webs[1].endpoint}/up answered 503" == vars(told)["problem"]
    webs[1].status = 200
    await health.look()
    assert [webs[1].endpoint] == ejected(frontend)
    await health.look()
    assert [] == ejected(frontend)


async def test_backend_that_is_bad_from_the_beginning_is_out_at_once(
    frontend: Frontend, webs: list[Web]
) -> None:
    webs[0].status = 500
    async with checked(frontend):
        await eventually(lambda: [webs[0].endpoint] == ejected(frontend))


async def test_new_backend_serves_after_its_first_check(
    frontend: Frontend, webs: list[Web]
) -> None:
    """Where others do meanwhile."""
    one, two = (each.endpoint for each in webs)
    await frontend.apply(replace(frontend.settings, backends=(one,)))
    health = BackendHealth(frontend)
    await health.look()
    await frontend.apply(replace(frontend.settings, backends=(one, two)))
    assert [two] == ejected(frontend)
    await health.look()
    assert [] == ejected(frontend)


async def test_ejected_backend_is_restored_when_checks_are_disabled(
    frontend: Frontend, webs: list[Web]
) -> None:
    webs[0].status = 500
    async with checked(frontend):
        await eventually(lambda: [webs[0].endpoint] == ejected(frontend))
        await frontend.apply(replace(frontend.settings, health_path=""))
        await eventually(lambda: [] == ejected(frontend))


async def test_check_for_which_no_descriptor_is_left_takes_no_backend_out(
    frontend: Frontend, webs: list[Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def short(endpoint: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    health = BackendHealth(frontend)
    webs[1].status = 503
    await health.look()
    assert [webs[1].endpoint] == ejected(frontend)
    with monkeypatch.context() as patched:
        patched.setattr("dewy.containers.health._connected", short)
        for _ in range(4):
            await health.look()
        assert [webs[1].endpoint] == ejected(frontend)
    webs[1].status = 200
    for _ in range(2):
        await health.look()
    assert [] == ejected(frontend)


async def test_fault_of_a_check_does_not_end_the_checks(
    frontend: Frontend, webs: list[Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = 0

    async def faulty(*_: object) -> None:
        nonlocal faults
        faults += 1
        raise ZeroDivisionError

    async with checked(frontend):
        with monkeypatch.context() as patched:
            patched.setattr("dewy.containers.health.HealthCheck.ask", faulty)
            await eventually(lambda: faults)
        webs[0].status = 500
        await eventually(lambda: [webs[0].endpoint] == ejected(frontend))
