"""Notifiers: the channels through which people get notices."""

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
        fields: Titles and texts of details that a target may lay out by itself.

        hook: The hook that the notice is about, if any.

        at: The time of the event, in seconds since the epoch; 0 where that is unknown.

        id: Unique, and the same for every attempt to deliver the notice.

        series: The series of errors that the notice belongs to, which are counted, and
            end, together; "" for the default one.
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
        """True unless the notice is ordinary, or about a hook that succeeded."""
        if self.kind is NoticeKind.HOOK:
            return self.hook is not None and not self.hook.success
        return self.kind is not NoticeKind.ORDINARY


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The sender of a notice.

    Attributes:
        host: The name of this host.

        root: The directory in which dewy works, with `current` in it.

        command: `server`, `assets` or `container`.
    """

    host: str
    root: Path
    command: str = ""


class Undeliverable(RemoteError):
    """The target will never accept this notice; retries are pointless."""


class PartlyDelivered(RemoteError):
    """The target works, but accepted this notice for some recipients only."""


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
