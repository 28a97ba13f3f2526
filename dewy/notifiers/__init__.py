"""Notifiers tell people what dewy did."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from ..errors import RemoteError
from ..schemes import Implementation, Schemes

__all__ = [
    "NOTIFIERS",
    "Hook",
    "Notice",
    "NoticeKind",
    "Notifier",
    "Origin",
    "PartlyDelivered",
    "Undeliverable",
]


class NoticeKind(Enum):
    """The importance of a notice, which decides the limits that apply to it."""

    ORDINARY = "ordinary"
    IMPORTANT = "important"
    HOOK = "hook"
    ERROR = "error"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Hook:
    """
    The outcome of a hook.

    Attributes:
        name: `Before Deploy` or `After Deploy`.

        duration: Seconds.
    """

    name: str
    command: str
    success: bool
    exit_code: int
    duration: float
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """
    A message to people.

    Attributes:
        fields: The details that a target may lay out by itself, each with its title.

        hook: The hook that the notice is about, if any.

        at: The time of the event, in seconds since the epoch; 0 where that is unknown.

        id: Stays the same when a notice is delivered again.

        series: The name of the errors that are counted, and end, together; "" for those
            that have no series of their own.
    """

    kind: NoticeKind
    text: str
    fields: tuple[tuple[str, str], ...] = field(default=())
    hook: Hook | None = None
    at: float = field(default=0.0, compare=False)
    id: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)
    series: str = field(default="", compare=False)

    @property
    def matters(self) -> bool:
        """True if somebody would miss the notice."""
        if self.kind is NoticeKind.HOOK:
            return self.hook is not None and not self.hook.success
        return self.kind is not NoticeKind.ORDINARY


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The sender of a notice.

    Attributes:
        host: The name of this host.

        root: The directory dewy works in; `current` is in it.

        command: `server`, `assets` or `container`.
    """

    host: str
    root: Path
    command: str = ""


class Undeliverable(RemoteError):
    """The target will never take this notice, however often it is offered."""


class PartlyDelivered(RemoteError):
    """The target took this notice for some only, and other notices in full."""


class Notifier(Protocol):
    """A channel that delivers notices."""

    async def send(self, notice: Notice) -> None:
        """
        Deliver *notice*.

        Raises:
            Undeliverable: the target will never take *notice*.
            RemoteError: *notice* could not be delivered now.
        """
        ...


NOTIFIERS: Schemes[[Origin], Notifier] = Schemes(
    "notifier",
    {
        "mem": Implementation("dewy.notifiers.memory:MemoryNotifier"),
        "slack": Implementation("dewy.notifiers.slack:SlackNotifier", "slack"),
        "mail": Implementation("dewy.notifiers.mail:MailNotifier", "mail"),
        "smtp": Implementation("dewy.notifiers.mail:MailNotifier", "mail"),
        "http": Implementation("dewy.notifiers.webhook:WebhookNotifier"),
        "https": Implementation("dewy.notifiers.webhook:WebhookNotifier"),
    },
)
