"""Secrets reach nobody."""

from __future__ import annotations

from dewy.notifiers import Hook, Notice, NoticeKind
from dewy.notifiers.filters import Redacting
from tests.notifiers.times import collected


async def test_every_text_is_gone_over() -> None:
    told = collected()
    discreet = Redacting(told, lambda text: text.replace("hunter2", "***"))
    hook = Hook("Before Deploy", "x hunter2", True, 0, 1, "hunter2", "a hunter2")
    fields = (("log", "hunter2"),)

    await discreet.send(Notice(NoticeKind.HOOK, "hunter2", fields, hook))

    assert "hunter2" not in repr(told.sent)
    assert 5 == repr(told.sent).count("***")
