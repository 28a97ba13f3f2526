"""What the proxy has counted, as figures: on whichever relay there is."""

from __future__ import annotations

import asyncio
import cProfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

import dewy
from dewy._speedups import COMPILED
from dewy.config import Endpoint
from dewy.histogram import Histogram
from dewy.proxy import Port, Proxy
from dewy.telemetry.instruments import INSTRUMENTS
from dewy.telemetry.points import proxied
from tests.eventually import eventually

ANSWER = b"answer"


@pytest.fixture
async def backend() -> AsyncIterator[Endpoint]:
    """It answers every connection and closes it."""

    async def serve(r: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await r.read(16)
        writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield Endpoint(host, port)
    server.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy(threads=1) as proxy:
        yield proxy


async def ask(port: Port) -> bytes:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port.endpoint.port)
        writer.write(b"question")
        answer = await reader.read()
        writer.close()
        return answer


def told(ports: list[Port]) -> dict[tuple[str, ...], float | Histogram]:
    """By name and labels, each once."""
    read = list(proxied(lambda: ports).read())
    found = {(point.name, *point.labels): point.value for point in read}
    assert len(read) == len(found)
    return found


async def test_everything_is_told_of_a_port(proxy: Proxy, backend: Endpoint) -> None:
    port = await proxy.open(Endpoint("127.0.0.1"))
    first = port.add(backend)
    name, address = str(port.endpoint.port), str(backend)
    assert [ANSWER] * 2 == [await ask(port) for _ in range(2)]
    await eventually(lambda: 2 == sum(port.stats().duration))

    found = told([port])

    moved = 2 * (len(b"question") + len(ANSWER))
    assert 2 == found["dewy.proxy.connections.total", name]
    assert 0 == found["dewy.proxy.connections.active", name]
    assert moved == found["dewy.proxy.bytes.transferred", name]
    assert 1 == found["dewy.proxy.backends", name]
    assert 0 == found["dewy.proxy.errors.total", name]
    assert 1 == found["dewy.proxy.backend.up", name, address]
    assert 2 == found["dewy.proxy.backend.connections.total", name, address]
    assert moved == found["dewy.proxy.backend.bytes", name, address]
    for histogram in ("connection.duration", "connect.latency"):
        counted = found[f"dewy.proxy.{histogram}", name]
        assert isinstance(counted, Histogram)
        assert 2 == sum(counted.counts)
        assert counted.bounds == INSTRUMENTS[f"dewy.proxy.{histogram}"].bounds
    mine = {each for each in INSTRUMENTS if each.startswith("dewy.proxy.")}
    assert mine == {key[0] for key in found}
    await first.drain(1)
    after = told([port])
    assert (0, 0) == (
        after["dewy.proxy.backends", name],
        after["dewy.proxy.backend.up", name, address],
    )


async def test_connection_without_backend_is_counted_as_error(proxy: Proxy) -> None:
    """Its cause is told as well."""
    port = await proxy.open(Endpoint("127.0.0.1"))
    name = str(port.endpoint.port)
    with suppress(ConnectionResetError):
        await ask(port)
    await eventually(lambda: port.stats().errors.no_backend)

    found = told([port])

    assert 1 == found["dewy.proxy.errors.total", name]
    assert 1 == found["dewy.proxy.faults.total", name, "no_backend"]


async def test_ports_with_equal_number_have_distinct_labels(
    proxy: Proxy, tmp_path: Path
) -> None:
    """Prometheus takes no two series of one name; a Unix socket has its path."""
    one = await proxy.open(Endpoint("127.0.0.1"))
    number = one.endpoint.port
    ports = [
        one,
        await proxy.open(Endpoint("127.0.0.2", number)),
        await proxy.open(Endpoint(path=str(tmp_path / "socket"))),
    ]

    names = {key[1] for key in told(ports)}

    unix = f"unix:{tmp_path}/socket"
    assert {f"127.0.0.1:{number}", f"127.0.0.2:{number}", unix} == names


async def test_backend_added_again_is_exported_as_single_series(
    proxy: Proxy, backend: Endpoint
) -> None:
    """An address may be another container's at once."""
    port = await proxy.open(Endpoint("127.0.0.1"))
    port.serve([port.add(backend)])
    port.serve([port.add(backend)])

    found = told([port])

    key = str(port.endpoint.port), str(backend)
    assert 1 == found["dewy.proxy.backend.up", *key]


async def calls(port: Port, connections: int) -> int:
    """How many functions of dewy's own are called while *connections* come and go."""
    profile, package = cProfile.Profile(), str(Path(dewy.__file__).parent)
    profile.enable()
    try:
        for _ in range(connections):
            assert ANSWER == await ask(port)
    finally:
        profile.disable()
    return sum(
        entry.callcount
        for entry in profile.getstats()
        if getattr(entry.code, "co_filename", "").startswith(package)
    )


@pytest.mark.skipif(not COMPILED, reason="the pure relay is Python itself")
async def test_connections_cost_no_python_call(proxy: Proxy, backend: Endpoint) -> None:
    """As many with a source that is asked as without: none for any connection."""
    port = await proxy.open(Endpoint("127.0.0.1"))
    port.serve([port.add(backend)])
    source = proxied(lambda: [port])
    list(source.read())

    assert 0 == await calls(port, 20)

    found = {point.name: point.value for point in source.read()}
    assert 20 == found["dewy.proxy.connections.total"]
