"""Three errors, silence, and one word when it is over."""

from __future__ import annotations

import pytest

from dewy.notifiers import Hook, Notice, NoticeKind
from dewy.notifiers.filters import Throttle
from tests.notifiers.times import Time, collected


@pytest.fixture
def time() -> Time:
    return Time()


async def test_errors_after_the_third_are_not_told(time: Time) -> None:
    """The third says so."""
    told = collected()
    limited = Throttle(told, time.clock)
    for number in range(1, 8):
        await limited.send(Notice(NoticeKind.ERROR, f"error {number}"))

    texts = [notice.text for notice in told.sent]
    assert ["error 1", "error 2"] == texts[:2]
    assert texts[2].startswith("error 3\nNo more errors will be sent")
    assert 3 == len(texts)


async def test_active_throttle_drops_ordinary_and_hook_notices(time: Time) -> None:
    told = collected()
    limited = Throttle(told, time.clock)
    for _ in range(3):
        await limited.send(Notice(NoticeKind.ERROR, "error"))
    failed = Hook("Before Deploy", "false", False, 1, 0.1)
    await limited.send(Notice(NoticeKind.ORDINARY, "fetched"))
    await limited.send(Notice(NoticeKind.HOOK, "hook", hook=failed))

    assert 3 == len(told.sent)


async def test_deployment_that_repairs_is_always_announced(time: Time) -> None:
    """And says how long the trouble lasted."""
    told = collected()
    limited = Throttle(told, time.clock)
    for _ in range(12):
        await limited.send(Notice(NoticeKind.ERROR, "error"))
        time.now += 315
    await limited.send(Notice(NoticeKind.IMPORTANT, "Restarted for v2"))
    await limited.send(Notice(NoticeKind.RECOVERY, "Polls succeed again"))

    assert "Restarted for v2\nResolved: 12 errors in 1 h 3 min" == (told.sent[-1].text)
    assert 4 == len(told.sent)


async def test_recovery_of_polls_is_told_once(time: Time) -> None:
    told = collected()
    limited = Throttle(told, time.clock)
    await limited.send(Notice(NoticeKind.ERROR, "error"))
    time.now += 40
    for _ in range(3):
        await limited.send(Notice(NoticeKind.RECOVERY, "Polls succeed again"))

    assert ["error", "Polls succeed again, after 1 error in 40 s"] == [
        notice.text for notice in told.sent
    ]


async def test_next_trouble_is_told_anew(time: Time) -> None:
    told = collected()
    limited = Throttle(told, time.clock)
    for _ in range(9):
        await limited.send(Notice(NoticeKind.ERROR, "error"))
    await limited.send(Notice(NoticeKind.IMPORTANT, "Restarted for v2"))
    await limited.send(Notice(NoticeKind.ERROR, "another"))
    await limited.send(Notice(NoticeKind.ORDINARY, "fetched"))

    assert ["another", "fetched"] == [notice.text for notice in told.sent[-2:]]


async def test_without_trouble_everything_passes_unchanged(time: Time) -> None:
    told = collected()
    limited = Throttle(told, time.clock)
    notices = [Notice(NoticeKind.ORDINARY, "a"), Notice(NoticeKind.IMPORTANT, "b")]
    for notice in notices:
        await limited.send(notice)
    await limited.send(Notice(NoticeKind.RECOVERY, "of nothing"))

    assert notices == told.sent


async def test_bad_release_is_told_in_the_silence_of_an_outage(time: Time) -> None:
    """Two series: each has its three errors, and its end."""
    told = collected()
    limited = Throttle(told, time.clock)
    for _ in range(5):
        await limited.send(Notice(NoticeKind.ERROR, "away", series="Poll failed"))
    await limited.send(Notice(NoticeKind.ERROR, "v2 failed"))
    await limited.send(Notice(NoticeKind.RECOVERY, "polls again", series="Poll failed"))
    await limited.send(Notice(NoticeKind.RECOVERY, "polls again", series="Poll failed"))
    await limited.send(Notice(NoticeKind.ORDINARY, "fetched"))
    await limited.send(Notice(NoticeKind.IMPORTANT, "v3 runs"))

    first_lines = [notice.text.splitlines()[0] for notice in told.sent]
    assert ["away", "away", "away", "v2 failed"] == first_lines[:4]
    assert "polls again, after 5 errors in 0 s" == first_lines[4]
    assert ["fetched", "v3 runs"] == first_lines[5:]
    assert told.sent[-1].text.endswith("Resolved: 1 error in 0 s")
