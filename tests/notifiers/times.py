"""A clock that goes when it is told to, and notifiers that are watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dewy.notifiers import Notice
from dewy.notifiers.memory import MemoryNotifier
from dewy.system import Clock


class Time:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, lambda: 0.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def collected() -> MemoryNotifier:
    return MemoryNotifier(urlsplit("mem://people"))


@dataclass
class Trying:
    """
    A notifier whose every attempt asks *outcome*, which raises what goes wrong.

    Attributes:
        sent: What was taken.
    """

    outcome: Callable[[], None]
    attempts: int = 0
    sent: list[Notice] = field(default_factory=list)

    async def send(self, notice: Notice) -> None:
        self.attempts += 1
        self.outcome()
        self.sent.append(notice)


class Hanging:
    """A notifier that never comes back."""

    async def send(self, notice: Notice) -> None:
        await asyncio.Event().wait()
