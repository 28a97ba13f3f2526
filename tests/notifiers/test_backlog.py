"""Which notice is offered next, and when."""

from __future__ import annotations

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.notifiers import Notice, NoticeKind, PartlyDelivered
from dewy.notifiers.queue import STALE, TOO_LATE, WAITING, Backlog, Waiting
from tests.notifiers.times import Time

AWAY = RemoteError("is away")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def backlog(time: Time) -> Backlog:
    return Backlog(time.clock)


def error(text: str) -> Notice:
    return Notice(NoticeKind.ERROR, text)


def offered(backlog: Backlog) -> str:
    """The text of the next one, or ""."""
    chosen = backlog.next()
    return chosen.notice.text if chosen else ""


def fail(backlog: Backlog, exc: Exception = AWAY) -> Waiting:
    chosen = backlog.next()
    assert chosen is not None
    backlog.failed(chosen, exc)
    return chosen


def test_notices_are_offered_in_order(backlog: Backlog) -> None:
    for text in ("one", "two"):
        backlog.add(error(text))
    first = backlog.next()
    assert first is not None
    backlog.delivered(first)

    assert "one" == first.notice.text
    assert "two" == offered(backlog)


def test_pauses_grow_to_a_minute(backlog: Backlog, time: Time) -> None:
    backlog.add(error("one"))
    pauses = []
    for _ in range(9):
        fail(backlog)
        pause = backlog.rest()
        assert pause is not None
        pauses.append(pause)
        time.now += pause

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == pauses


def test_new_notice_is_offered_at_once_while_another_waits(
    backlog: Backlog, time: Time
) -> None:
    """After that one, for the target may be back; once, then it waits in its place."""
    backlog.add(error("one"))
    for _ in range(6):
        fail(backlog)
        time.now += backlog.rest() or 0.0
    fail(backlog)
    backlog.add(error("two"))
    assert "one" == fail(backlog).notice.text
    assert "two" == fail(backlog).notice.text

    assert None is backlog.next()
    assert 60.0 == backlog.rest()
    time.now += 60.0
    assert "one" == offered(backlog)


def test_long_wish_to_be_left_alone_holds_no_later_error_back(
    backlog: Backlog, time: Time
) -> None:
    """But what is ordinary; and the one refused is not offered sooner."""
    backlog.add(error("one"))
    fail(backlog, RateLimited("busy", retry_after=1800.0))
    backlog.add(Notice(NoticeKind.ORDINARY, "fetched"))
    assert "" == offered(backlog)
    backlog.add(error("two"))
    assert "two" == offered(backlog)
    second = backlog.next()
    assert second is not None
    backlog.delivered(second)
    assert "fetched" == offered(backlog)
    third = backlog.next()
    assert third is not None
    backlog.delivered(third)

    assert 1800.0 == backlog.rest()


def test_wish_to_be_left_alone_keeps_the_order(backlog: Backlog, time: Time) -> None:
    busy = RateLimited("busy", retry_after=30.0)
    for text in ("one", "two", "three"):
        backlog.add(error(text))
        fail(backlog, busy)
        time.now += 1
    assert 29.0 == backlog.rest()
    time.now += 29.0

    assert "one" == offered(backlog)


def test_notice_taken_by_some_only_holds_no_other_back(
    backlog: Backlog, time: Time
) -> None:
    backlog.add(error("one"))
    fail(backlog, PartlyDelivered("450 for one"))
    backlog.add(Notice(NoticeKind.ORDINARY, "fetched"))
    assert "fetched" == offered(backlog)
    second = backlog.next()
    assert second is not None
    backlog.delivered(second)
    assert 1.0 == backlog.rest()
    time.now += 1.0
    fail(backlog, PartlyDelivered("450 for one"))

    assert 2.0 == backlog.rest()


@pytest.mark.parametrize(
    ("kind", "limit"), [(NoticeKind.ORDINARY, STALE), (NoticeKind.ERROR, TOO_LATE)]
)
def test_notice_expires(
    backlog: Backlog, time: Time, kind: NoticeKind, limit: float
) -> None:
    backlog.add(Notice(kind, "text", at=time.now - limit + 10.0))
    fail(backlog)
    time.now += 9.0
    assert [] == backlog.expired()
    time.now += 1.0

    assert ["text"] == [each.notice.text for each in backlog.expired()]
    assert 0 == len(backlog)
    assert None is backlog.rest()


def test_full_backlog_drops_ordinary_notices_first(backlog: Backlog) -> None:
    backlog.add(Notice(NoticeKind.IMPORTANT, "first"))
    for number in range(3 * WAITING):
        backlog.add(Notice(NoticeKind.ORDINARY, f"ordinary {number}"))
    kept = {notice.text for notice in backlog}
    assert WAITING == len(backlog)
    assert {"first", f"ordinary {3 * WAITING - 1}"} <= kept
    dropped = [backlog.add(error(f"error {number}")) for number in range(WAITING + 1)]

    assert WAITING == len(backlog)
    assert "first" == (dropped[-2] or error("")).text
    assert "error 1" == next(iter(backlog)).text


def test_last_attempt_prefers_notice_not_yet_attempted(backlog: Backlog) -> None:
    backlog.add(error("one"))
    fail(backlog)
    backlog.add(error("two"))
    chosen = backlog.last()

    assert chosen is not None
    assert "two" == chosen.notice.text
    assert 2 == backlog.clear()
    assert None is backlog.last()
