"""A transfer from any store: what it waits for, and what ends it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.remotes.partial_file import PartialFile
from dewy.remotes.transfer import (
    PIECE,
    Effort,
    Interrupted,
    Stream,
    persist,
    refusal,
    transfer,
)

CONTENT = os.urandom(4 * PIECE)


class Shop:
    """
    A store with one file.

    Attributes:
        breaks: What ends one connection each, after a piece.

        opened_at: The byte at which each connection began.

        pause: Seconds before each piece.
    """

    where = "shop"

    def __init__(self, *breaks: Exception) -> None:
        self.breaks = deque(breaks)
        self.opened_at: list[int] = []
        self.pause = 0.0
        self.size = PIECE
        self.wrong = False

    @asynccontextmanager
    async def opened(self, start: int) -> AsyncIterator[Stream]:
        self.opened_at.append(start)
        yield Stream(start, len(CONTENT), self._pieces(start))

    async def _pieces(self, start: int) -> AsyncGenerator[bytes, None]:
        for at in range(start, len(CONTENT), self.size):
            await asyncio.sleep(self.pause)
            yield CONTENT[at : at + self.size]
            if self.breaks:
                raise self.breaks.popleft()

    async def finish(self, file: PartialFile) -> None:
        if self.wrong:
            raise RemoteError("another digest")


@pytest.fixture
def effort(waits: list[float]) -> Effort:
    async def wait(seconds: float) -> None:
        waits.append(seconds)

    return Effort(attempts=3, wait=wait)


def content(path: Path) -> bytes:
    return path.read_bytes()


def left(directory: Path) -> list[str]:
    return os.listdir(directory)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (Interrupted("cut"), 0.5),
        (Interrupted("busy", retry_after=7.0), 7.0),
        (RateLimited("busy"), 0.5),
        (RateLimited("busy", retry_after=7.0), 7.0),
        (RateLimited("busy", retry_after=0.0), 0.5),
        (RateLimited("busy", retry_after=120.0), 120.0),
    ],
)
async def test_interrupted_transfer_resumes_after_retry_delay(
    tmp_path: Path, effort: Effort, waits: list[float], broken: Exception, expected: int
) -> None:
    shop = Shop(broken)
    await transfer(shop, tmp_path / "into", effort=effort)

    assert CONTENT == content(tmp_path / "into")
    assert [0, PIECE] == shop.opened_at
    assert [expected] == waits


async def test_gains_keep_a_transfer_going(tmp_path: Path, effort: Effort) -> None:
    shop = Shop(*[RateLimited("busy", retry_after=1.0)] * 4)
    await transfer(shop, tmp_path / "into", effort=effort)

    assert [0, PIECE, 2 * PIECE, 3 * PIECE] == shop.opened_at[:4]


async def test_transfer_below_the_floor_is_given_up(
    tmp_path: Path, effort: Effort
) -> None:
    shop = Shop()
    shop.size, shop.pause = 1, 0.01
    slow = replace(effort, window=0.1)
    with pytest.raises(Interrupted, match=r"shop sent only [0-9]+ bytes in 0 s"):
        await transfer(shop, tmp_path / "into", effort=slow)

    assert 3 == len(shop.opened_at)
    assert [] == left(tmp_path)


async def test_file_that_turns_out_to_be_another_is_not_left(
    tmp_path: Path, effort: Effort
) -> None:
    shop = Shop()
    shop.wrong = True
    with pytest.raises(RemoteError, match="another digest"):
        await transfer(shop, tmp_path / "into", effort=effort)

    assert [] == left(tmp_path)


async def test_refusal_for_good_ends_attempts(effort: Effort) -> None:
    made: list[bool] = []

    async def attempt() -> None:
        made.append(True)
        raise RemoteError("no")

    with pytest.raises(RemoteError, match="no"):
        await persist(attempt, effort)

    assert [True] == made


@pytest.mark.parametrize("status", [500, 503, 408])
def test_status_that_may_pass_is_an_interruption(status: int) -> None:
    error = refusal("host", status, {"Retry-After": "7"}, {})

    assert isinstance(error, Interrupted)
    assert 7.0 == error.retry_after


@pytest.mark.parametrize(("status", "limit"), [(404, False), (429, True)])
def test_other_statuses_are_none(status: int, limit: bool) -> None:
    error = refusal("host", status, {}, {})

    assert not isinstance(error, Interrupted)
    assert limit == isinstance(error, RateLimited)
