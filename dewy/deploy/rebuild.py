"""The state of a root that has none to read, from what lies there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Settings
from .history import History, Record
from .migrate_go import adopt, deployed_at
from .state import Installed, State

__all__ = ["left"]

TOLERANCE = 2.0
"""Seconds; a directory is named after a whole one."""


def left(settings: Settings) -> State:
    """
    Return the state that the link `current`, the releases and the history speak for.

    Of containers, their labels tell. Blocks.
    """
    if settings.command == "container":
        return State()
    state = adopt(settings.root, settings.cache_dir)
    running = state.running
    if running is None or running.tag:
        return state
    kept = named(_directories(settings.root), History(settings.private).read())
    found = next((i for i in kept if i.directory == running.directory), running)
    others = tuple(i for i in kept if i != found)
    return replace(state, running=found, installed=(found, *others))


def named(directories: Iterable[str], records: Sequence[Record]) -> list[Installed]:
    """
    Return the releases in *directories*, newest first, as *records* name them.

    A directory is named after a moment of the deployment that made it (pure).
    """
    found = []
    for name in sorted(directories, reverse=True):
        at = deployed_at(name)
        tags = {r.tag for r in records if at is not None and _made(r, at)}
        if at is not None and len(tags) == 1:
            found.append(Installed(tags.pop(), "", name, at))
    return found


def _made(record: Record, at: float) -> bool:
    begun = record.at - record.seconds
    deployed = record.action == "deploy" and record.outcome == "deployed"
    return deployed and begun - TOLERANCE <= at <= record.at + TOLERANCE


def _directories(root: Path) -> list[str]:
    try:
        return [path.name for path in (root / "releases").iterdir() if path.is_dir()]
    except OSError:
        return []
