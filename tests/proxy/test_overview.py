"""Ports of the proxy as the status has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from dewy.proxy import Endpoint, Port, Proxy
from dewy.proxy.port import describe, describe_backends
from tests.eventually import eventually


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with Proxy(threads=0) as proxy:
        yield await proxy.open(Endpoint("127.0.0.1", 0))


async def test_port_is_described_by_its_address_and_counters(port: Port) -> None:
    assert {
        "address": str(port.endpoint),
        "connections": 0,
        "connections_total": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "errors": 0,
        "retries": 0,
    } == describe(port)


async def test_backend_is_described_by_its_state_and_counters(port: Port) -> None:
    serving, ejected, _ = (port.add(Endpoint("127.0.0.1", n)) for n in (7, 8, 9))
    ejected.eject()
    port.serve([serving, ejected])
    first, *_ = told = describe_backends(port)

    assert ["serving", "ejected", "draining"] == [each["state"] for each in told]
    assert 3 == len({each["id"] for each in told})
    assert (str(port.endpoint), "127.0.0.1:7") == (first["port"], first["address"])
    counters = "connections", "connections_total", "failures", "broken"
    assert [0, 0, 0, 0] == [first[name] for name in counters]


async def test_client_without_a_backend_is_an_error(port: Port) -> None:
    with suppress(ConnectionError):
        _, writer = await asyncio.open_connection("127.0.0.1", port.endpoint.port)
        writer.close()

    await eventually(lambda: 1 == describe(port)["errors"])
    assert 1 == describe(port)["connections_total"]
