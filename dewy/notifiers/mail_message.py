"""Layout of a notice in a mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from .. import __version__
from ..logs import readable
from ..system import utc
from . import Hook, Notice, Origin
from .format import duration


def letter(
    notice: Notice,
    origin: Origin,
    sender: str,
    recipients: Sequence[str],
    subject: str,
) -> EmailMessage:
    """
    Return the mail that tells of *notice*; its id is the same however often it is sent.
    """
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = _hook_subject(notice.hook) if notice.hook else subject
    at = utc(notice.at) if notice.at else datetime.now(UTC)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{notice.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    body = _hook(notice.hook) if notice.hook else _plain(notice)
    message.set_content("\n".join([*body, *_trailer(origin)]) + "\n")
    return message


def _plain(notice: Notice) -> Iterator[str]:
    yield notice.text
    for title, text in notice.fields:
        if text:
            yield from ("", f"{title.capitalize()}:", text)


def _hook_subject(hook: Hook) -> str:
    return f"Dewy {hook.name} Hook {_fate(hook)}"


def _hook(hook: Hook) -> Iterator[str]:
    yield f"{hook.name} Hook {_fate(hook)}"
    yield ""
    yield f"Command: {hook.command}"
    yield f"Exit Code: {hook.exit_code}"
    yield f"Duration: {duration(hook.duration)}"
    for title, text in (("STDOUT", hook.stdout), ("STDERR", hook.stderr)):
        if text:
            yield from ("", f"{title}:", text)


def _trailer(origin: Origin) -> Iterator[str]:
    yield from ("", f"Host: {origin.host}", f"Working dir: {readable(origin.root)}")
    yield from ("", "--", f"dewy {__version__}")


def _fate(hook: Hook) -> str:
    return "SUCCESS" if hook.success else "FAILED"
