"""The same is said once."""

from __future__ import annotations

from dewy.notifiers import Notice, NoticeKind
from dewy.notifiers.filters import WINDOW, Dedup
from tests.notifiers.times import Time, collected


async def test_repetition_is_left_out_for_a_while() -> None:
    told, time = collected(), Time()
    unrepeated = Dedup(told, time.clock)
    for text in ("a", "a", "b", "a"):
        await unrepeated.send(Notice(NoticeKind.ERROR, text))
    time.now += WINDOW
    await unrepeated.send(Notice(NoticeKind.ERROR, "a"))

    assert ["a", "b", "a", "a"] == [notice.text for notice in told.sent]


async def test_second_deployment_of_a_version_is_told() -> None:
    told = collected()
    unrepeated = Dedup(told, Time().clock)
    for _ in range(2):
        await unrepeated.send(Notice(NoticeKind.IMPORTANT, "Restarted for v1"))

    assert 2 == len(told.sent)
