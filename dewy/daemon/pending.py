"""Changes of the configuration that wait for dewy's restart."""

from __future__ import annotations

import asyncio
from dataclasses import fields

from ..config import Settings
from ..config.options import ROWS
from ..errors import DewyError
from ..logs import summary
from ..reload import Reread

__all__ = ["BESIDE", "names", "pending"]

BESIDE = frozenset({"cautions", "overridden"})
"""Fields of the settings that are no options."""


def names(one: Settings, other: Settings) -> list[str]:
    """Return the options in which both differ, as they are written."""
    written = {
        option.setting: f"--{option.name}"
        for option in ROWS
        if one.command in option.commands
    }
    return [
        written.get(each.name, each.name.replace("_", " "))
        for each in fields(Settings)
        if each.name != "run_options"
        if getattr(one, each.name) != getattr(other, each.name)
    ]


async def pending(settings: Settings, reread: Reread) -> str:
    """
    Return the phrase on what a restart of dewy would take over, or keep it from.

    It begins with a semicolon, or is "" where nothing differs from *settings*.
    """
    try:
        read = await asyncio.to_thread(reread)
    except (DewyError, OSError) as exc:
        return f"; dewy itself would not start again: {summary(exc)}"
    left = [name for name in names(settings, read) if name not in BESIDE]
    told = f"; restart dewy for: {', '.join(left)}" if left else ""
    return told + "".join(f"; {each}" for each in read.overridden)
