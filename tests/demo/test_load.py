"""The demo's clients notice whatever goes wrong."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dewy.demo.load import Load, Tally
from tests.eventually import eventually

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: %s\r\n\r\nv1\n"


@asynccontextmanager
async def serving(reply: Callable[[], bytes]) -> AsyncIterator[int]:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = reply()
                writer.write(answer)
                await writer.drain()
                if b"keep-alive" not in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def tally(reply: Callable[[], bytes], requests: int = 20) -> Tally:
    async with serving(reply) as port:
        async with Load(port, 4, 0.001) as load:
            await eventually(lambda: load.tally.requests >= requests)
        await eventually(lambda: len(asyncio.all_tasks()) <= 2)
        return load.tally


async def test_good_answers_are_counted_by_version():
    found = await tally(lambda: GOOD % b"close")

    assert {} == found.failures
    assert found.requests == found.versions["v1"].answers == found.connections
    assert found.versions["v1"].first <= found.versions["v1"].last


async def test_kept_connections_are_used_again():
    found = await tally(lambda: GOOD % b"keep-alive", 60)

    assert {} == found.failures
    assert found.connections < found.requests


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "ValueError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "IncompleteReadError"),
        (b"", "IncompleteReadError"),
    ],
)
async def test_bad_answers_are_failures(reply: bytes, failure: str):
    found = await tally(lambda: reply)

    assert {failure} == set(found.failures)
    assert found.requests == sum(found.failures.values())


async def test_refused_connections_are_failures(unused_tcp_port: int):
    async with Load(unused_tcp_port, 2, 0.001) as load:
        await eventually(lambda: load.tally.requests >= 5)

    assert {"ConnectionRefusedError"} == set(load.tally.failures)
