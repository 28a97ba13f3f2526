"""Format of notices: durations, output of hooks, mail, messages in Slack."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..logs import readable
from ..system import utc
from . import Hook, Notice, NoticeKind, Origin

if TYPE_CHECKING:
    from email.message import EmailMessage

LINES = 50
CUT = 1900
"""Lines, and bytes, at the end of a hook's output that Slack is sent."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Format *seconds* in its two largest units: `1 h 3 min`, `40 s`, `0.25 s`."""
    if seconds < 10:
        return f"{round(seconds, 2):g} s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2]))


def tail(text: str) -> str:
    """Return the end of *text*, which is the most useful part of a log."""
    text = readable(text)
    kept = "\n".join(text.split("\n")[-LINES:]).encode()[-CUT:].decode(errors="ignore")
    return kept if len(kept) == len(text) else f"...\n{kept}"


def mail_message(
    notice: Notice,
    origin: Origin,
    sender: str,
    recipients: Sequence[str],
    subject: str,
) -> EmailMessage:
    """Return the mail for *notice*; a second attempt has the same `Message-ID`."""
    from email.message import EmailMessage  # for mail only
    from email.utils import format_datetime

    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = _hook_subject(notice.hook) if notice.hook else subject
    at = utc(notice.at) if notice.at else datetime.now(UTC)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{notice.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    body = _hook_mail_text(notice.hook) if notice.hook else _mail_text(notice)
    message.set_content("\n".join([*body, *_trailer(origin)]) + "\n")
    return message


def _mail_text(notice: Notice) -> Iterator[str]:
    yield notice.text
    for title, text in notice.fields:
        if text:
            yield from ("", f"{title.capitalize()}:", text)


def _hook_subject(hook: Hook) -> str:
    return f"Dewy {hook.name} Hook {_outcome(hook)}"


def _hook_mail_text(hook: Hook) -> Iterator[str]:
    yield f"{hook.name} Hook {_outcome(hook)}"
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


def _outcome(hook: Hook) -> str:
    return "SUCCESS" if hook.success else "FAILED"


SUCCEEDED, FAILED = "#36a64f", "#dd0000"
HUE_SHIFT = 35 / 360

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def attachment(notice: Notice, host: str, footer: str) -> dict[str, Any]:
    """Return the attachment of a Slack message for *notice*."""
    shown = (
        _hook_attachment(notice.hook)
        if notice.hook
        else _plain_attachment(notice, host)
    )
    shown |= {"footer": footer, "mrkdwn_in": ["text", "fields"]}
    if notice.at:
        shown["ts"] = int(notice.at)
    return shown


def footer(host: str, title: str, url: str) -> str:
    """Return the source of a Slack message: *title*, linked to *url*, and *host*."""
    name = escaped(title or url)
    if url:
        name = f"<{url}|{name}>"
    return f"{name}/{host}" if name else host


def colour(host: str) -> str:
    """
    Return the colour of *host*: the first three bytes of the digest of its name.

    A red that would look like a failure is shifted towards orange.
    """
    red, green, blue = hashlib.md5(host.encode(), usedforsecurity=False).digest()[:3]
    if red >= 0xCC and green <= 0x33 and blue <= 0x33:
        hue, light, full = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
        turned = colorsys.hls_to_rgb((hue + HUE_SHIFT) % 1.0, light, full)
        red, green, blue = (int(part * 255 + 0.5) for part in turned)
    return f"#{red:02X}{green:02X}{blue:02X}"


def escaped(text: str) -> str:
    """Return *text* with Slack's own markup escaped."""
    return text.translate(_ESCAPES)


def _plain_attachment(notice: Notice, host: str) -> dict[str, Any]:
    return {
        "color": FAILED if notice.kind is NoticeKind.ERROR else colour(host),
        "fallback": notice.text,
        "text": escaped(notice.text),
        "fields": [
            {"title": title.capitalize(), "value": _block(text), "short": False}
            for title, text in notice.fields
            if text
        ],
    }


def _hook_attachment(hook: Hook) -> dict[str, Any]:
    outputs = (("Stdout", hook.stdout), ("Stderr", hook.stderr))
    fields = [
        {"title": title, "value": _block(tail(text)), "short": False}
        for title, text in outputs
        if text
    ]
    fields += [
        {"title": "Exit Code", "value": f"`{hook.exit_code}`", "short": True},
        {"title": "Duration", "value": duration(hook.duration), "short": True},
    ]
    title = f"{hook.name} Hook"
    return {
        "color": SUCCEEDED if hook.success else FAILED,
        "fallback": f"{title} {'succeeded' if hook.success else 'failed'}",
        "title": title,
        "text": _block(hook.command),
        "fields": fields,
    }


def _block(text: str) -> str:
    # A zero-width space keeps the text from ending the block.
    return "```" + escaped(text).replace("```", "``\u200b`") + "```"
