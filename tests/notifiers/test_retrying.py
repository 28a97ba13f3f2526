"""Every attempt has a deadline, and another one follows it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.notifiers import Kind, Notice, Undeliverable
from dewy.notifiers import retrying as module
from dewy.notifiers.retrying import STALE, Retrying
from dewy.system import Clock
from tests.eventually import eventually
from tests.notifiers.times import Hanging, Time, Trying

ERROR = Notice(Kind.ERROR, "error")


async def test_notice_is_delivered_once_the_target_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After an hour too; that it is not is said once."""
    time = Time()
    until = time.now + 3600

    def outcome() -> None:
        if time.now < until:
            raise RemoteError("is away")

    target = Trying(outcome)
    with caplog.at_level(logging.WARNING):
        await Retrying(target, time.clock, time.sleep).send(ERROR)

    assert [ERROR] == target.sent
    assert [1, 2, 4, 8, 16, 32, 60, 60] == time.slept[:8]
    assert 1 == caplog.text.count("Notice not delivered yet")


async def test_target_says_how_long_to_stay_away() -> None:
    time = Time()
    answers = [RateLimited("busy", retry_after=90.0)]

    def outcome() -> None:
        if answers:
            raise answers.pop()

    await Retrying(Trying(outcome), time.clock, time.sleep).send(ERROR)

    assert [90.0] == time.slept


async def test_attempt_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "DELIVERY", 0.02)
    monkeypatch.setattr(module, "TOO_LATE", 100.0)
    time = Time()
    with pytest.raises(RemoteError, match="given up after 7 attempts"):
        await Retrying(Hanging(), time.clock, time.sleep).send(ERROR)

    assert "no answer within" in vars(caplog.records[0])["error"]


async def test_what_will_never_be_taken_is_offered_once() -> None:
    def outcome() -> None:
        raise Undeliverable("too long")

    target = Trying(outcome)
    with pytest.raises(Undeliverable):
        await Retrying(target, Time().clock).send(ERROR)

    assert 1 == target.attempts


async def test_old_news_that_do_not_matter_are_not_told() -> None:
    time = Time()
    target = Trying(lambda: None)
    retrying = Retrying(target, time.clock, time.sleep)
    old = time.now - STALE - 1
    with pytest.raises(RemoteError):
        await retrying.send(Notice(Kind.ORDINARY, "fetched", at=old))
    await retrying.send(Notice(Kind.IMPORTANT, "deployed", at=old))

    assert ["deployed"] == [notice.text for notice in target.sent]


async def test_leaving_ends_the_pause_for_a_last_attempt() -> None:
    """However long the target asked to stay away; each further notice has one, too."""

    def outcome() -> None:
        raise RateLimited("busy", retry_after=1800.0)

    target = Trying(outcome)
    retrying = Retrying(target, Clock())
    sending = asyncio.create_task(retrying.send(ERROR))
    await eventually(lambda: target.attempts == 1)
    await asyncio.sleep(0)

    assert retrying.leave()
    with pytest.raises(RemoteError, match="given up after 2 attempts"):
        await sending
    with pytest.raises(RemoteError, match="given up after 1 attempts"):
        await retrying.send(ERROR)


async def test_target_is_failing_until_it_takes_a_notice() -> None:
    failures = [RemoteError("is away")]

    def outcome() -> None:
        if failures:
            raise failures.pop()

    time = Time()
    retrying = Retrying(Trying(outcome), time.clock, time.sleep)
    assert not retrying.leave()
    with pytest.raises(RemoteError):
        await retrying.send(ERROR)
    assert retrying.leave()
    await retrying.send(ERROR)
    assert not retrying.leave()


async def test_target_that_takes_long_is_failing() -> None:
    time = Time()
    retrying = Retrying(Hanging(), time.clock, time.sleep)
    sending = asyncio.create_task(retrying.send(ERROR))
    await asyncio.sleep(0)
    assert not retrying.leave()
    time.now += module.SLOW + 1

    assert retrying.leave()
    sending.cancel()
    await asyncio.wait({sending})
