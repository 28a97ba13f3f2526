"""When the registry is looked at, and what a failing look changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.errors import DewyError, NotYet, RateLimited
from dewy.polling import Poller
from dewy.system import Clock
from tests.eventually import DEADLINE, eventually

CLOCK = Clock(wall=lambda: 1000.0, monotonic=lambda: 0.0, jitter=lambda: 0.5)


def poller(*outcomes: BaseException | None, **settings: float) -> Poller:
    left = list(outcomes)

    async def tick() -> None:
        outcome = left.pop(0) if left else None
        if outcome is not None:
            raise outcome

    chosen = Settings(
        command="assets",
        root=Path(),
        cache_dir=Path(),
        **settings,  # type: ignore[arg-type]
    )
    return Poller(tick, chosen, CLOCK)


async def test_a_good_look_comes_again_after_the_interval():
    assert 10 == await poller().once()


async def test_a_failure_is_remembered_until_a_look_succeeds():
    polling = poller(DewyError("registry is away"))
    await polling.once()
    assert "registry is away" == polling.problem

    await polling.once()
    assert "" == polling.problem


async def test_failures_in_a_row_back_off_up_to_the_longest():
    polling = poller(*[DewyError("x")] * 12, max_backoff_interval=300)

    delays = [await polling.once() for _ in range(12)]

    assert 10 == delays[0]
    assert delays[1:] == sorted(delays[1:])
    assert 200 < delays[-1] <= 300


async def test_without_back_off_failures_change_nothing():
    polling = poller(*[DewyError("x")] * 5)

    assert {10} == {await polling.once() for _ in range(5)}


async def test_what_a_remote_asked_for_is_a_floor():
    assert 120 <= await poller(RateLimited("later", retry_after=120)).once()


@pytest.mark.parametrize("fault", [OSError("disk"), ZeroDivisionError("a bug")])
async def test_no_failure_ends_the_polling(fault, caplog):
    polling = poller(fault)
    await polling.once()

    assert str(fault) in polling.problem
    assert 1000 == polling.last_at


async def test_what_has_to_wait_is_no_failure():
    polling = poller(*[NotYet("being replaced")] * 5, max_backoff_interval=300)

    assert [10] * 5 == [await polling.once() for _ in range(5)]
    assert "" == polling.problem


async def test_waking_looks_at_once():
    looked = asyncio.Semaphore(0)

    async def tick() -> None:
        looked.release()

    settings = Settings(command="assets", root=Path(), cache_dir=Path(), interval=3600)
    polling = Poller(tick, settings, CLOCK)
    running = asyncio.create_task(polling.run(asyncio.Event()))
    await looked.acquire()
    await eventually(lambda: polling.next_at == 4600)

    polling.wake()
    await asyncio.wait_for(looked.acquire(), 20)

    running.cancel()
    await asyncio.wait({running})


async def test_polling_ends_though_a_tick_loses_the_cancellation():
    over = asyncio.Event()
    begun = asyncio.Event()

    async def tick() -> None:
        if begun.is_set():
            await asyncio.Event().wait()
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    settings = Settings(command="assets", root=Path(), cache_dir=Path(), interval=0.01)
    running = asyncio.create_task(Poller(tick, settings, CLOCK).run(over))
    await begun.wait()

    running.cancel()
    over.set()

    await asyncio.wait({running}, timeout=DEADLINE)
    assert running.done()


async def test_chronicle_hears_of_polls() -> None:
    heard: list[str] = []

    class Listening:
        def poll_failed(self, exc: Exception) -> None:
            heard.append(str(exc))

        def poll_succeeded(self) -> None:
            heard.append("succeeded")

    outcomes = [DewyError("away"), NotYet("on its way")]

    async def tick() -> None:
        raise outcomes.pop(0)

    settings = Settings(command="assets", root=Path(), cache_dir=Path())
    polling = Poller(tick, settings, CLOCK, Listening())  # type: ignore[arg-type]
    await polling.once()
    await polling.once()

    assert ["away", "succeeded"] == heard
