"""Clients of the admin API that say exactly what a test wants said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from dewy.admin.http import AdminAPI
from tests.eventually import eventually
from tests.standins import shown

PATIENCE = 30
FOLLOWING = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def telling(snapshot: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """A source of statuses that always says *snapshot*, whatever is in it by then."""

    async def tell() -> dict[str, Any]:
        return snapshot

    return tell


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the API at *port*; what is done with it may not take for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.close()


async def until_nobody_looks(looks: Callable[[], int], port: int) -> None:
    """
    Wait until *looks* stands still while another API, at *port* or a little above,
    looks again and again because somebody follows its events.
    """
    others = shown.Telling(shown.serving())
    async with AdminAPI(port, others) as api, connected(api.port) as (_, writer):
        writer.write(FOLLOWING)
        before = -1
        while before != looks():
            before, wanted = looks(), others.looks + 3
            await eventually(lambda n=wanted: others.looks >= n)


async def send(port: int, request: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to *request*."""
    async with connected(port) as (reader, writer):
        writer.write(request.replace("\n", "\r\n").encode())
        return parsed(await reader.read())


def parsed(answer: bytes) -> tuple[int, dict[str, str], str]:
    """An answer's status, headers (names in small letters) and body."""
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}, body


async def get(port: int, path: str, *headers: str) -> tuple[int, Any]:
    """Status and body of the answer at *path*; JSON is read where it is 200."""
    host = () if any(h.startswith("Host") for h in headers) else ("Host: localhost",)
    lines = "\n".join([f"GET {path} HTTP/1.1", *host, *headers])
    found, _, body = await send(port, lines + "\n\n")
    return found, json.loads(body) if found == 200 else body
