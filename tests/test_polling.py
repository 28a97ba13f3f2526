"""When the registry is looked at, and what a failing look changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from dewy.config import Reloadable, Settings
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History
from dewy.errors import (
    DeploymentError,
    DewyError,
    NoRelease,
    NotYet,
    RateLimited,
    RemoteError,
    RootBusy,
)
from dewy.notifiers import NoticeKind
from dewy.polling import Cause, Poller
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
    return Poller(tick, Reloadable(chosen), CLOCK)


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


async def test_retry_after_is_minimum_poll_delay():
    assert 120 <= await poller(RateLimited("later", retry_after=120)).once()


@pytest.mark.parametrize("fault", [OSError("disk"), ZeroDivisionError("a bug")])
async def test_no_failure_ends_the_polling(fault, caplog):
    polling = poller(fault)
    await polling.once()

    assert str(fault) in polling.problem
    assert 1000 == polling.last_at


async def test_pending_release_does_not_count_as_poll_failure():
    polling = poller(*[NotYet("being replaced")] * 5, max_backoff_interval=300)

    assert [10] * 5 == [await polling.once() for _ in range(5)]
    assert "" == polling.problem


async def test_waking_looks_at_once():
    looked = asyncio.Semaphore(0)

    async def tick() -> None:
        looked.release()

    settings = Settings(command="assets", root=Path(), cache_dir=Path(), interval=3600)
    polling = Poller(tick, Reloadable(settings), CLOCK)
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
    running = asyncio.create_task(Poller(tick, Reloadable(settings), CLOCK).run(over))
    await begun.wait()

    running.cancel()
    over.set()

    await asyncio.wait({running}, timeout=DEADLINE)
    assert running.done()


async def test_chronicle_hears_of_polls() -> None:
    heard: list[str] = []

    class Listening:
        def is_told(self, exc: Exception) -> bool:
            return False

        def poll_failed(self, exc: Exception, what: str) -> None:
            heard.append(f"{what}: {exc}")

        def poll_succeeded(self, what: str) -> None:
            if what == "Poll failed":
                heard.append("succeeded")

    outcomes = [DewyError("away"), NotYet("on its way")]

    async def tick() -> None:
        raise outcomes.pop(0)

    settings = Settings(command="assets", root=Path(), cache_dir=Path())
    polling = Poller(tick, Reloadable(settings), CLOCK, Listening())  # type: ignore[arg-type]
    await polling.once()
    await polling.once()

    assert ["Poll failed: away", "succeeded"] == heard


async def test_time_that_the_registry_asks_for_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    polling = poller(RemoteError("away", retry_after=120.4), RemoteError("away"))
    for _ in range(2):
        await polling.once()

    asked = [getattr(record, "retry_after", None) for record in caplog.records]
    assert ["120s", None] == asked


async def test_failed_deployment_is_no_failed_poll(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An outage and a bad release are two series; each is counted by itself."""
    caplog.set_level("INFO")
    bad, away = (
        DeploymentError("v2 does not start", detail="no db"),
        RemoteError("away"),
    )
    log = DeploymentLog(History(Path()), [], CLOCK)
    outcomes = [away, bad, bad, away]

    async def tick() -> None:
        exc = outcomes.pop(0)
        if exc is bad:
            # As the agent does.
            log.tell(NoticeKind.ERROR, "v2 failed", about=exc)
        raise exc

    polling = Poller(
        tick,
        Reloadable(Settings(command="assets", root=Path(), cache_dir=Path())),
        CLOCK,
        log,
    )
    for _ in range(3):
        await polling.once()
    assert ["the last deployment failed: v2 does not start"] == polling.problems()
    assert [] == polling.problems("v2 does not start")
    assert ("v2 does not start", "no db") == (polling.problem, polling.detail)
    await polling.once()

    rows = [(r.message, getattr(r, "row", None)) for r in caplog.records]
    assert [
        ("Poll failed", 1),
        ("Poll succeeded again", None),
        ("Poll failed", 1),
    ] == rows
    assert 2 == polling.series[Cause.DEPLOYMENT].count
    assert 2 == polling.failed
    assert "away" == polling.problem


@pytest.mark.parametrize(
    ("exc", "message"),
    [
        (OSError("disk"), "Root check failed"),
        (RootBusy("another dewy"), "Root check failed"),
        (RemoteError("away"), "Poll failed"),
        (NoRelease("nothing for this host"), "Poll failed"),
    ],
)
async def test_fault_of_the_host_is_no_failed_poll(
    exc: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    polling = poller(exc)
    await polling.once()

    assert [message] == [record.message for record in caplog.records]
    assert (message == "Poll failed") == polling.failed


async def test_call_that_its_library_cancelled_does_not_end_the_polls():
    """Dewy ended, and the program with it."""
    polling = poller(asyncio.CancelledError())
    await polling.once()

    assert Cause.FAULT in polling.series
    await polling.once()
    assert "" == polling.problem
