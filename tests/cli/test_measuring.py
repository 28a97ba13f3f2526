"""Telemetry of the proxy alone."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Endpoint, Settings
from dewy.daemon.proxy import Measured
from dewy.errors import DewyError, ImplementationUnavailable
from dewy.proxy import Proxy
from dewy.proxy.frontend import Frontend
from tests.needs import found, needs
from tests.standins.browsing import get

if found("telemetry"):
    from tests.standins.collector import Collector
    from tests.standins.scrapes import names, scraped, value


ROOT = Path("/")
SETTINGS = Settings(command="proxy", root=ROOT, cache_dir=ROOT)


async def measured(**given: Any) -> Measured:
    """In a thread, for it imports."""
    return await asyncio.to_thread(Measured, replace(SETTINGS, **given))


@needs("telemetry")
async def test_proxy_is_measured(unused_tcp_port: int) -> None:
    """On the port where other modes have their HTTP API."""
    around = await measured(telemetry=True, admin_port=unused_tcp_port)
    async with Proxy(threads=1) as proxy, around(Frontend(proxy, SETTINGS)):
        port = await proxy.open(Endpoint("127.0.0.1"))
        port.add(Endpoint("127.0.0.1", 9), serving=False)
        scrape = await scraped(unused_tcp_port)
        _, status = await get(unused_tcp_port, "/api/status")

    label = {"proxy_port": str(port.endpoint.port)}
    assert 0 == value(scrape, "dewy_proxy_connections_total", **label)
    assert 0 == value(scrape, "dewy_proxy_backend_up", backend="127.0.0.1:9", **label)
    assert "dewy_build_info" in names(scrape)
    assert "proxy" == status["mode"]
    assert [str(port.endpoint)] == [each["address"] for each in status["ports"]]


@pytest.mark.parametrize(("chosen", "answers"), [(True, 1), (False, 0)])
async def test_proxy_shows_itself_at_a_port_that_was_chosen(
    chosen: bool, answers: int, unused_tcp_port: int
) -> None:
    """Without telemetry, too; a relay that nobody asks loads no HTTP server."""
    given = {"admin_port": unused_tcp_port, "admin_port_chosen": chosen}
    around = await measured(**given)
    async with Proxy(threads=1) as proxy, around(Frontend(proxy, SETTINGS)):
        try:
            code, _ = await get(unused_tcp_port, "/api/status")
        except ConnectionRefusedError:
            code = 0

    assert 200 * answers == code


@needs("telemetry")
async def test_collector_is_told() -> None:
    """Without any HTTP API."""
    with Collector() as collector:
        given = {"otlp_endpoint": collector.endpoint, "otlp_insecure": True}
        around = await measured(admin_port=0, **given)
        async with Proxy(threads=1) as proxy, around(Frontend(proxy, SETTINGS)):
            await proxy.open(Endpoint("127.0.0.1"))

    assert "dewy.proxy.connections.total" in collector.metrics


@needs("telemetry")
@pytest.mark.parametrize("chosen", [True, False])
async def test_only_a_port_that_was_chosen_must_be_had(
    chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the other modes."""
    monkeypatch.setattr("dewy.admin.http.PORTS_TRIED", 1)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        around = await measured(
            telemetry=True, admin_port=taken, admin_port_chosen=chosen
        )
        refused = pytest.raises(DewyError, match="no free port")
        with refused if chosen else nullcontext():
            async with Proxy(threads=1) as proxy, around(Frontend(proxy, SETTINGS)):
                assert [] == proxy.ports


async def test_proxy_without_telemetry_options_opens_no_port() -> None:
    around = await measured()
    async with Proxy(threads=1) as proxy, around(Frontend(proxy, SETTINGS)):
        assert [] == proxy.ports


async def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything listens."""
    for name in list(sys.modules):
        if name.startswith("dewy.telemetry."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ImplementationUnavailable, match="'opentelemetry-sdk>="):
        await measured(telemetry=True)
