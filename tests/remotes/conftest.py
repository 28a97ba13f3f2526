"""A file on a server, and the road to it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from dewy.remotes import http
from dewy.remotes.download import Effort, download
from tests.standins.files import FileServer

BODY = random.Random(7).randbytes((3 << 20) + 12345)


class Fetch(Protocol):
    """Downloads the file, with the options of `download`."""

    async def __call__(self, **options: Any) -> None: ...


@pytest.fixture(scope="session")
def body() -> bytes:
    """More than three pieces of a download, and a bit."""
    return BODY


@pytest.fixture
async def server(body: bytes) -> AsyncIterator[FileServer]:
    async with FileServer() as server:
        server.files["/app"] = body
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    brisk = http.Deadlines(connect=5.0, silence=0.5, answer=5.0)
    async with http.session(brisk, decompress=False) as session:
        yield session


@pytest.fixture
def waits() -> list[float]:
    """Seconds waited between attempts, which take none here."""
    return []


@pytest.fixture
def effort(waits: list[float]) -> Effort:
    async def wait(seconds: float) -> None:
        waits.append(seconds)

    return Effort(attempts=5, silence=0.5, wait=wait)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "app.tar.gz"


@pytest.fixture
def fetch(
    server: FileServer, session: aiohttp.ClientSession, into: Path, effort: Effort
) -> Fetch:
    async def fetch(**options: Any) -> None:
        given = {"into": into, "effort": effort, **options}
        await download(session, f"{server.url}/app", **given)

    return fetch
