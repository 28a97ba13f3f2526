"""Writes that a store takes one at a time."""

from __future__ import annotations

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.remotes.objects.client import in_turn
from dewy.remotes.transfer import Effort

BUSY = RateLimited("one write per second")


class Write:
    """A write that fails in these ways first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0
        self.waits: list[float] = []
        self.due = True

    async def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "written"

    async def is_due(self) -> bool:
        return self.due

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def in_turn(self) -> str | None:
        return await in_turn(self, Effort(wait=self.wait), self.is_due)


async def test_write_waits_for_its_turn() -> None:
    write = Write(BUSY, RateLimited("busy", retry_after=2.0))

    assert "written" == await write.in_turn()
    first, second = write.waits
    assert 1.0 <= first < 1.5
    assert 2.0 <= second < 3.0


async def test_write_that_is_not_due_any_more_is_dropped() -> None:
    write = Write(BUSY)
    write.due = False

    assert await write.in_turn() is None
    assert (1, []) == (write.made, write.waits)


@pytest.mark.parametrize(
    ("errors", "made"),
    [
        ([BUSY] * 9, 5),
        ([RateLimited("busy", retry_after=30.0)], 1),
        ([RemoteError("no")], 1),
    ],
)
async def test_write_is_given_up(errors: list[Exception], made: int) -> None:
    write = Write(*errors)
    with pytest.raises(RemoteError):
        await write.in_turn()

    assert made == write.made
