"""What is left out where it is to be quiet."""

from __future__ import annotations

from dewy.notifiers import Hook, Notice, NoticeKind
from dewy.notifiers.filters import MinLevel
from tests.notifiers.times import collected


def hook(*, success: bool) -> Notice:
    result = Hook("After Deploy", "make", success, 0 if success else 1, 0.5)
    return Notice(NoticeKind.HOOK, f"{success}", hook=result)


async def test_min_level_drops_ordinary_notices_and_successful_hooks() -> None:
    told = collected()
    quiet = MinLevel(told)
    for notice in (
        Notice(NoticeKind.ORDINARY, "fetched"),
        Notice(NoticeKind.IMPORTANT, "deployed"),
        hook(success=True),
        hook(success=False),
        Notice(NoticeKind.ERROR, "error"),
        Notice(NoticeKind.RECOVERY, "recovered"),
    ):
        await quiet.send(notice)

    assert ["deployed", "False", "error", "recovered"] == [n.text for n in told.sent]
