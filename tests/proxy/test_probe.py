"""Asking a backend whether it is there."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from itertools import islice

import pytest

from dewy._speedups.proxy_protocol import LOCAL
from dewy.config import Endpoint
from dewy.proxy.backend import intervals, reachable
from tests.needs import needs
from tests.standins.namespace import in_namespace
from tests.standins.plane import refusing

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def reached(serve: Serve, **options: bool) -> bool:
    """Whether an application that does *serve* is taken for reachable."""
    over = asyncio.Event()

    async def serving(r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
        try:
            await serve(r, w)
        except ConnectionResetError:
            w.close()  # what it said was not read to the end
        finally:
            over.set()

    async with await asyncio.start_server(serving, "127.0.0.1", 0) as server:
        endpoint = Endpoint(*server.sockets[0].getsockname())
        found = await reachable(endpoint, **options)
        await over.wait()
        return found


async def test_silent_application_is_reachable() -> None:
    """It waits for a request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    assert await reached(serve)


async def test_talking_application_is_reachable() -> None:
    """It says something first."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()
        writer.close()

    assert await reached(serve)


@needs("namespaces")
def test_probe_connected_to_itself_reports_unreachable() -> None:
    """The kernel has but one port to connect from: the one that is called."""
    dead = Endpoint("127.0.0.1", 4242)

    assert not in_namespace(lambda: asyncio.run(reachable(dead)), port=4242)


async def test_backend_closing_immediately_is_unreachable() -> None:
    """A published port without an application behind it accepts, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert not await reached(serve)


async def test_backend_refusing_connection_is_unreachable() -> None:
    """Nobody listens."""
    with refusing() as backend:
        assert not await reachable(Endpoint(*backend.getsockname()))


async def test_probe_sends_proxy_header_with_local_command() -> None:
    """A backend that expects the PROXY header gets one that says LOCAL."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(16))
        writer.write(b"!")
        await reader.read()
        writer.close()

    assert await reached(serve, proxy_protocol=True)
    assert [LOCAL] == heard


@pytest.mark.parametrize(("index", "expected"), [(0, 0.5), (1, 1.0), (9, 30.0)])
def test_pauses_grow(index: int, expected: float) -> None:
    """Up to half a minute."""
    assert expected == next(islice(intervals(), index, None))


async def test_backend_is_not_known_while_the_host_lacks_a_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scarce(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("dewy.proxy.backend.socket.socket", scarce)

    assert await reachable(Endpoint("127.0.0.1", 9)) is None
