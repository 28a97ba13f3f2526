"""The notifier that remembers; what it delivers is its contract's business."""

from __future__ import annotations

from dewy.notifiers import NOTIFIERS, Notice, NoticeKind
from dewy.notifiers.memory import MemoryNotifier


async def test_memory_notifier_stores_sent_notices() -> None:
    notifier = NOTIFIERS.open("mem://people")
    notice = Notice(NoticeKind.HOOK, "before-deploy hook", (("Exit code", "1"),))
    await notifier.send(notice)

    assert isinstance(notifier, MemoryNotifier)
    assert [notice] == notifier.sent
    assert "<MemoryNotifier people: 1 sent>" == repr(notifier)


async def test_memory_notifiers_do_not_share_sent_notices() -> None:
    await NOTIFIERS.open("mem://people").send(Notice(NoticeKind.ERROR, "text"))

    assert "<MemoryNotifier people: 0 sent>" == repr(NOTIFIERS.open("mem://people"))
