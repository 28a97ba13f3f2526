"""Nobody waits for a notifier."""

from __future__ import annotations

import asyncio

import pytest

from dewy.errors import RemoteError
from dewy.notifiers import Kind, Notice
from dewy.notifiers import queue as module
from dewy.notifiers.queue import WAITING, NoticeQueue
from tests.notifiers.times import Hanging, Trying, collected


async def test_notices_are_delivered_in_order() -> None:
    told = collected()
    async with NoticeQueue(told) as backlog:
        for number in range(9):
            await backlog.send(Notice(Kind.ORDINARY, str(number)))

    assert [str(number) for number in range(9)] == [n.text for n in told.sent]


async def test_what_matters_stays_when_too_many_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FAREWELL", 0.01)
    async with NoticeQueue(Hanging()) as backlog:
        await backlog.send(Notice(Kind.IMPORTANT, "first"))
        for number in range(3 * WAITING):
            await backlog.send(Notice(Kind.ORDINARY, f"ordinary {number}"))
        kept = {notice.text for notice in backlog._waiting}
        assert WAITING == len(backlog)
        assert {"first", f"ordinary {3 * WAITING - 1}"} <= kept
        for number in range(WAITING + 1):
            await backlog.send(Notice(Kind.ERROR, f"error {number}"))
        assert WAITING == len(backlog)
        assert "error 1" == backlog._waiting[0].text

    assert "Notice dropped" in caplog.text
    assert "Notices lost" in caplog.text


@pytest.mark.parametrize("failure", [RemoteError("given up"), LookupError("a fault")])
async def test_failure_keeps_nobody_from_the_next_notice(failure: Exception) -> None:
    failures = [failure]

    def outcome() -> None:
        if failures:
            raise failures.pop()

    target = Trying(outcome)
    async with NoticeQueue(target) as backlog:
        await backlog.send(Notice(Kind.ERROR, "one"))
        await backlog.send(Notice(Kind.ERROR, "two"))

    assert ["two"] == [notice.text for notice in target.sent]


async def test_it_may_be_left_twice_and_without_having_been_entered() -> None:
    backlog = NoticeQueue(collected())
    await backlog.__aexit__()
    async with backlog:
        await asyncio.sleep(0)
    await backlog.__aexit__()


async def test_failing_target_is_left_after_a_moment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOMENT", 0.01)
    monkeypatch.setattr(module, "FAREWELL", 3600.0)
    async with NoticeQueue(Hanging(), lambda: True) as backlog:
        await backlog.send(Notice(Kind.IMPORTANT, "goodbye"))

    assert "Notices lost" in caplog.text
