"""When a new generation counts as started, told by a worker that only pretends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace

import pytest

from dewy.errors import StartFailed
from dewy.supervisor.candidate import wait_ready
from dewy.supervisor.policy import Policy
from tests.eventually import turns


class Pretender:
    """What `wait_ready` asks of a worker."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.notify = SimpleNamespace(ready=asyncio.Event(), extended_until=0.0)

    async def unless_ended(self, doing: Awaitable[None]) -> None:
        await doing

    def failure(self, how: str) -> StartFailed:
        return StartFailed(f"it {how}")


async def started(ready: str, *, notifies: bool, says: bool, **policy: float) -> None:
    worker = Pretender()
    if says:
        worker.notify.ready.set()
    await wait_ready(worker, Policy(ready=ready, **policy), notifies=notifies)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ready", "notifies"), [("auto", False), ("auto", True), ("notify", False)]
)
async def test_saying_ready_ends_the_wait(ready: str, notifies: bool):
    await started(
        ready, notifies=notifies, says=True, start_grace=3600, start_timeout=3600
    )


@pytest.mark.parametrize(("ready", "notifies"), [("auto", False), ("grace", True)])
async def test_being_alive_is_enough_where_ready_is_not_required(
    ready: str, notifies: bool
):
    await started(
        ready, notifies=notifies, says=False, start_grace=0.01, start_timeout=3600
    )


@pytest.mark.parametrize(("ready", "notifies"), [("auto", True), ("notify", False)])
async def test_missing_required_ready_fails_start(ready: str, notifies: bool):
    with pytest.raises(StartFailed, match=r"it did not send READY=1 within 0.01 s"):
        await started(ready, notifies=notifies, says=False, start_timeout=0.01)


async def test_ready_does_not_shorten_grace_period():
    grace = {"notifies": True, "start_grace": 0.05}
    silent = asyncio.create_task(started("grace", says=False, **grace))
    await turns()

    await started("grace", says=True, **grace)

    await turns()
    assert silent.done()


async def test_a_program_may_ask_for_more_time():
    worker = Pretender()
    worker.notify.extended_until = worker.loop.time() + 3600
    policy = Policy(ready="notify", start_timeout=0.01)
    waiting = asyncio.create_task(wait_ready(worker, policy, notifies=True))  # type: ignore[arg-type]

    with pytest.raises(StartFailed):
        await started("notify", notifies=False, says=False, start_timeout=0.02)
    assert not waiting.done()
    worker.notify.ready.set()

    await asyncio.wait_for(waiting, 20)
