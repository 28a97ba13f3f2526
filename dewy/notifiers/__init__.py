"""Notifiers tell people what dewy did."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ..schemes import Entry, Schemes

__all__ = ["NOTIFIERS", "Kind", "Notice", "Notifier"]


class Kind(Enum):
    """How much a notice matters, which decides what limits apply to it."""

    ORDINARY = "ordinary"
    IMPORTANT = "important"
    HOOK = "hook"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people; *fields* hold what a target may lay out by itself."""

    kind: Kind
    text: str
    fields: tuple[tuple[str, str], ...] = field(default=())


class Notifier(Protocol):
    """Delivers notices."""

    async def send(self, notice: Notice) -> None:
        """
        Deliver *notice*.

        Raises:
            RemoteError: it could not be delivered.
        """
        ...


NOTIFIERS: Schemes[[], Notifier] = Schemes(
    "notifier", {"mem": Entry("dewy.notifiers.memory:MemoryNotifier")}
)
