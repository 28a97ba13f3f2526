"""Nobody waits for a notifier, and each attempt has a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.notifiers import Notice, NoticeKind, Notifier, PartlyDelivered, Undeliverable
from dewy.notifiers import queue as module
from dewy.notifiers.queue import NoticeQueue
from dewy.system import Clock
from tests.eventually import eventually
from tests.notifiers.times import Hanging, Time, Trying, collected

ERROR = Notice(NoticeKind.ERROR, "error")


@asynccontextmanager
async def queue(
    target: Notifier, time: Time | None = None
) -> AsyncIterator[NoticeQueue]:
    """Whose pauses pass as fast as they can, where *time* is given."""
    how = (time.clock, time.sleep) if time else (Clock(),)
    async with NoticeQueue(target, *how) as opened:
        yield opened


async def test_notices_are_delivered_in_order() -> None:
    told = collected()
    async with queue(told) as opened:
        for number in range(9):
            await opened.send(Notice(NoticeKind.ORDINARY, str(number)))

    assert [str(number) for number in range(9)] == [n.text for n in told.sent]
    assert 9 == opened.health.delivered


async def test_burst_of_notices_is_delivered_in_order() -> None:
    told = collected()
    async with queue(told) as opened:
        await asyncio.sleep(0)
        for number in range(3):
            await opened.send(Notice(NoticeKind.ORDINARY, str(number)))
        opened.leave()

    assert ["0", "1", "2"] == [notice.text for notice in told.sent]


async def test_notice_is_delivered_once_the_target_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After an hour too; that it is not is said once, and that it is again."""
    time = Time()
    until = time.now + 3600

    def outcome() -> None:
        if time.now < until:
            raise RemoteError("is away")

    target = Trying(outcome)
    with caplog.at_level(logging.INFO):
        async with queue(target, time) as opened:
            await opened.send(ERROR)
            await opened.send(Notice(NoticeKind.ERROR, "another"))
            await eventually(lambda: 2 == len(target.sent))

    assert ERROR == target.sent[0]
    assert 1 == caplog.text.count("Notices are delivered again")
    assert [1, 2, 4, 8, 16, 32, 60, 60] == time.slept[:8]
    assert 1 == caplog.text.count("Notice not delivered yet")


async def test_attempt_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "DELIVERY", 0.02)
    time = Time()
    notice = Notice(NoticeKind.ORDINARY, "text", at=time.now - 500)
    async with queue(Hanging(), time) as opened:
        await opened.send(notice)
        await eventually(lambda: not len(opened))

    assert "no answer within" in vars(caplog.records[0])["error"]
    assert vars(caplog.records[-1])["error"].startswith("given up after ")
    assert 1 == opened.health.lost


async def test_later_error_does_not_wait_for_a_target_that_asked_for_long() -> None:
    answers = [RateLimited("busy", retry_after=1800.0)]

    def outcome() -> None:
        if answers:
            raise answers.pop()

    target = Trying(outcome)
    async with queue(target) as opened:
        await opened.send(ERROR)
        await eventually(lambda: target.attempts)
        await opened.send(Notice(NoticeKind.ERROR, "later"))
        await eventually(lambda: target.sent)
        assert ["later"] == [notice.text for notice in target.sent]
        assert 1 == len(opened)


async def test_undeliverable_notice_is_attempted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def outcome() -> None:
        raise Undeliverable("too long")

    target = Trying(outcome)
    async with queue(target) as opened:
        await opened.send(ERROR)
        await eventually(lambda: not len(opened))

    assert 1 == target.attempts
    assert (1, "too long") == (opened.health.lost, opened.health.problem)
    assert "Notice not delivered" in caplog.text


@pytest.mark.parametrize("failure", [Undeliverable("never"), LookupError("a fault")])
async def test_delivery_failure_does_not_block_next_notice(failure: Exception) -> None:
    failures = [failure]

    def outcome() -> None:
        if failures:
            raise failures.pop()

    target = Trying(outcome)
    async with queue(target) as opened:
        await opened.send(Notice(NoticeKind.ERROR, "one"))
        await opened.send(Notice(NoticeKind.ERROR, "two"))

    assert ["two"] == [notice.text for notice in target.sent]


async def test_too_many_notices_are_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FAREWELL", 0.01)
    async with queue(Hanging()) as opened:
        for number in range(300):
            await opened.send(Notice(NoticeKind.ERROR, f"error {number}"))
        assert 200 == len(opened)

    assert "Notice dropped" in caplog.text
    assert "Notices lost" in caplog.text
    assert 300 == opened.health.lost


async def test_queue_exit_twice_or_before_entry_is_harmless() -> None:
    left = NoticeQueue(collected(), Clock())
    await left.__aexit__()
    async with left:
        await asyncio.sleep(0)
    await left.__aexit__()


async def test_queue_exit_skips_backoff_for_single_last_attempt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long the target asked to stay away; and for no more than one."""
    monkeypatch.setattr(module, "MOMENT", 3600.0)

    def outcome() -> None:
        raise RateLimited("busy", retry_after=1800.0)

    target = Trying(outcome)
    async with queue(target) as opened:
        for _ in range(3):
            await opened.send(ERROR)
        await eventually(lambda: 3 == target.attempts)

    assert 4 == target.attempts
    assert 3 == opened.health.lost
    assert "Notices lost" in caplog.text


async def test_target_that_took_a_part_is_told_the_rest_when_left() -> None:
    answers: list[Exception] = [PartlyDelivered("450 for one")]

    def outcome() -> None:
        if answers:
            raise answers.pop()

    target = Trying(outcome)
    async with queue(target) as opened:
        opened.leave()
        await opened.send(Notice(NoticeKind.ERROR, "one"))
        await opened.send(Notice(NoticeKind.ERROR, "two"))

    assert ["two"] == [notice.text for notice in target.sent]
    assert 1 == opened.health.lost


async def test_failing_target_is_left_after_a_moment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOMENT", 0.01)
    monkeypatch.setattr(module, "FAREWELL", 3600.0)
    monkeypatch.setattr(module, "DELIVERY", 0.01)
    async with queue(Hanging()) as opened:
        await opened.send(ERROR)
        await eventually(lambda: opened.health.problem)
        monkeypatch.setattr(module, "DELIVERY", 3600.0)

    assert "Notices lost" in caplog.text


@pytest.mark.parametrize("known", [False, True])
async def test_hurry_waits_for_no_target_that_was_not_proven(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, known: bool
) -> None:
    for name in ("FAREWELL", "MOMENT", "HURRY"):
        monkeypatch.setattr(module, name, 3600.0)
    if known:
        monkeypatch.setattr(module, "DELIVERY", 0.01)
    async with queue(Hanging()) as opened:
        await opened.send(ERROR)
        if known:
            await eventually(lambda: opened.health.problem)
            monkeypatch.setattr(module, "DELIVERY", 3600.0)
        opened.leave(hurry=True)

    assert "Notices lost" in caplog.text


async def test_target_that_hangs_for_a_while_is_failing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Though it took the notice before."""
    for name in ("FAREWELL", "HURRY"):
        monkeypatch.setattr(module, name, 3600.0)
    monkeypatch.setattr(module, "SLOW", -1.0)
    told, hanging = collected(), asyncio.Event()

    class Stuck:
        async def send(self, notice: Notice) -> None:
            if told.sent:
                hanging.set()
                await asyncio.Event().wait()
            await told.send(notice)

    async with queue(Stuck()) as opened:
        for text in ("one", "two"):
            await opened.send(Notice(NoticeKind.ERROR, text))
        await hanging.wait()
        opened.leave(hurry=True)

    assert "Notices lost" in caplog.text


async def test_hurry_waits_for_a_target_that_took_the_last_notice() -> None:
    release = asyncio.Event()
    told = collected()

    class Slow:
        async def send(self, notice: Notice) -> None:
            if told.sent:
                await release.wait()
            await told.send(notice)

    async with queue(Slow()) as opened:
        await opened.send(ERROR)
        await eventually(lambda: told.sent)
        opened.leave(hurry=True)
        await opened.send(Notice(NoticeKind.ORDINARY, "goodbye"))
        asyncio.get_running_loop().call_later(0.05, release.set)

    assert ["error", "goodbye"] == [notice.text for notice in told.sent]
