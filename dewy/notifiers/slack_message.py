"""Layout of a notice in Slack."""

from __future__ import annotations

import colorsys
import hashlib
from typing import Any

from . import Hook, Notice, NoticeKind
from .format import duration, tail

SUCCEEDED, FAILED = "#36a64f", "#dd0000"
TURN = 35 / 360

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def attachment(notice: Notice, host: str, footer: str) -> dict[str, Any]:
    """Return the attachment of the message that tells of *notice*."""
    shown = _hook(notice.hook) if notice.hook else _plain(notice, host)
    shown |= {"footer": footer, "mrkdwn_in": ["text", "fields"]}
    if notice.at:
        shown["ts"] = int(notice.at)
    return shown


def footer(host: str, title: str, url: str) -> str:
    """Return the source of a message: what is deployed, and on which host."""
    name = escaped(title or url)
    if url:
        name = f"<{url}|{name}>"
    return f"{name}/{host}" if name else host


def colour(host: str) -> str:
    """
    Return the colour of a host, always the same: three bytes of its digest.

    What would look like a failure is turned towards orange.
    """
    red, green, blue = hashlib.md5(host.encode(), usedforsecurity=False).digest()[:3]
    if red >= 0xCC and green <= 0x33 and blue <= 0x33:
        hue, light, full = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
        turned = colorsys.hls_to_rgb((hue + TURN) % 1.0, light, full)
        red, green, blue = (int(part * 255 + 0.5) for part in turned)
    return f"#{red:02X}{green:02X}{blue:02X}"


def escaped(text: str) -> str:
    """Return *text* without what Slack takes for markup of its own."""
    return text.translate(_ESCAPES)


def _plain(notice: Notice, host: str) -> dict[str, Any]:
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


def _hook(hook: Hook) -> dict[str, Any]:
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
