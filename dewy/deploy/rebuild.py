"""
The state of a root without a readable one, rebuilt from its files.

The original had no state file: its link `current` points at the running release, and
its cache holds, under the key `current`, the key `<tag>--<file>` of what it last
meant to deploy. It wrote that key before it unpacked, so the key names what the link
points at only if the link is no older.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..config import Settings
from .history import ADOPTED, History, Record
from .quarantine import Quarantine, QuarantineEntry, delay
from .state import Installed, State
from .verbs import BY_OPERATOR

TOLERANCE = 2.0
"""Seconds; a directory is named after a whole one."""


def left(settings: Settings) -> State:
    """
    Return the state according to the link `current`, the releases and the history.

    Of containers, their labels tell what runs. Blocks.
    """
    records = _records(settings.private)
    quarantine = condemned(records)
    if settings.command == "container":
        return State(quarantine=quarantine)
    state = replace(adopt(settings.root, settings.cache_dir), quarantine=quarantine)
    running = state.running
    if running is None or running.tag:
        return state
    kept = named(_directories(settings.root), records)
    found = next((i for i in kept if i.directory == running.directory), running)
    others = tuple(i for i in kept if i != found)
    return replace(
        state,
        running=found,
        installed=(found, *others),
        back_at=_back_at(quarantine, found),
    )


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


def condemned(records: Iterable[Record]) -> Quarantine:
    """
    Return the versions that *records* say were left or failed, and not deployed since.

    Records do not name the bytes: an entry keeps out whatever has that tag (pure).
    """
    entries: dict[str, QuarantineEntry] = {}
    for record in records:
        if record.outcome in ("deployed", ADOPTED):
            entries.pop(record.tag, None)
        tag, reason, by = _verdict(record)
        if not tag or deployed_at(tag) is not None:
            continue
        earlier = entries.pop(tag, None)
        failures = earlier.failures + 1 if earlier else 1
        served = bool(by) or record.step == "probation"
        until = None if served else record.at + delay(failures, 0.5)
        detail = "" if by else record.detail
        entries[tag] = QuarantineEntry(
            tag, "", reason, failures, record.at, until, detail, by
        )
    return Quarantine(tuple(entries.values()))


def _verdict(record: Record) -> tuple[str, str, str]:
    """Return the version that *record* speaks against, why, and who; else "" thrice."""
    if record.outcome == "deployed" and record.action == "rollback":
        return record.previous, BY_OPERATOR, "operator"
    if record.outcome == "rolled back":
        return record.tag, record.reason, ""
    if record.outcome == "failed" and record.action == "deploy":
        return record.tag, record.reason, ""
    return "", "", ""


def _back_at(quarantine: Quarantine, running: Installed) -> float:
    """Return when *running* was gone back to; 0 if nothing was left since it began."""
    left = (e.at for e in quarantine if e.until is None and e.tag != running.tag)
    return max((at for at in left if at > running.at), default=0.0)


def _records(private: Path) -> list[Record]:
    try:
        return History(private).read()
    except OSError:
        return []


def _directories(root: Path) -> list[str]:
    try:
        return [path.name for path in (root / "releases").iterdir() if path.is_dir()]
    except OSError:
        return []


STAMP = re.compile(r"(\d{8}T\d{6}Z)(-\d+)?", re.ASCII)
WRITTEN_WITHIN = 1.0


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
    Tag and artifact that the original meant to run, if its cache has it.

    For a root whose link is missing: better than nothing while the registry is down.
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
    return tag if separator and written <= deployed + WRITTEN_WITHIN else ""
