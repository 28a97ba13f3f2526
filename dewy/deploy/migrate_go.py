"""
Taking over a root that the original dewy left behind.

It had no state file: its link `current` points at the running release, and its
cache holds, under the key `current`, the key `<tag>--<file>` of what it last
meant to deploy. It wrote that key before it unpacked, so the key names what the
link points at only if the link is no older.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from .state import Installed, State

STAMP = re.compile(r"(\d{8}T\d{6}Z)(-\d+)?", re.ASCII)
TOLERANCE = 1.0


def adopt(root: Path, cache_dir: Path) -> State:
    """Return the state of a root without one; empty where nothing was deployed."""
    link = root / "current"
    target = link.resolve() if link.is_symlink() else None
    if target is None or not target.is_dir():
        return State()
    if target.parent != (root / "releases").resolve():
        return State()
    at = deployed_at(target.name) or target.stat().st_mtime
    found = Installed(_tag(cache_dir / "current", at), "", target.name, at)
    return State(running=found, installed=(found,))


def cached(cache_dir: Path) -> tuple[str, Path] | None:
    """
    Tag and artifact of what the original meant to run, if its cache has it.

    For a root whose link is gone: better than nothing while the registry is away.
    """
    try:
        key = (cache_dir / "current").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    tag, separator, file = key.partition("--")
    artifact = cache_dir / key
    if not (tag and separator and file) or "/" in key or not artifact.is_file():
        return None
    return tag, artifact


def deployed_at(directory: str) -> float | None:
    """Return the time in a release directory's name, seconds since the epoch."""
    match = STAMP.fullmatch(directory)
    if match is None:
        return None
    moment = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ")
    return moment.replace(tzinfo=UTC).timestamp()


def _tag(key_file: Path, deployed: float) -> str:
    try:
        key = key_file.read_text().strip()
        written = key_file.stat().st_mtime
    except (OSError, UnicodeDecodeError):
        return ""
    tag, separator, _ = key.partition("--")
    return tag if separator and written <= deployed + TOLERANCE else ""
