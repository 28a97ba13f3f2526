"""Leaving out what nobody has to know."""

from __future__ import annotations

from . import Notice, Notifier


class MinLevel:
    """A filter for what matters: no ordinary notices, and of hooks only failures."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def send(self, notice: Notice) -> None:
        if notice.matters:
            await self._notifier.send(notice)
