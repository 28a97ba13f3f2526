"""Keeping secrets out of what people are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import Hook, Notice, Notifier

Strike = Callable[[str], str]


class Redacting:
    """A filter that has *strike* go over every text, output of programs included."""

    def __init__(self, notifier: Notifier, strike: Strike) -> None:
        self._notifier = notifier
        self._strike = strike

    async def send(self, notice: Notice) -> None:
        strike = self._strike
        await self._notifier.send(
            replace(
                notice,
                text=strike(notice.text),
                fields=tuple((title, strike(text)) for title, text in notice.fields),
                hook=self._hook(notice.hook) if notice.hook else None,
            )
        )

    def _hook(self, hook: Hook) -> Hook:
        return replace(
            hook,
            command=self._strike(hook.command),
            stdout=self._strike(hook.stdout),
            stderr=self._strike(hook.stderr),
        )
