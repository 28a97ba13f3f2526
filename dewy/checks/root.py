"""The root: whether dewy can work there, and who does already."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import Settings
from .finding import Finding, Level

__all__ = ["program_findings", "readiness_findings", "root_findings"]

LEAST_FREE = 512 * 1024 * 1024
SAMPLE = bytes(16 * 1024)


def root_findings(settings: Settings) -> Iterator[Finding]:
    """Check whether *settings.root* can be written and has room."""
    root = settings.root
    places = [root, settings.private, root / "releases", settings.cache_dir]
    refused = [each for each in places if not _writable(each)]
    for place in refused:
        yield Finding(
            Level.FAILURE,
            "root",
            f"{place} cannot be written by {_user()}",
            "give it to the user dewy runs as (chown -R), or run dewy as its owner",
        )
    if not refused:
        yield _tried(places)
    yield _room(root)


def _writable(place: Path) -> bool:
    """Return whether *place*, or the directory it would be made in, takes new files."""
    place = _existing(place)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _existing(place: Path) -> Path:
    """Return *place*, or the nearest directory it would be made in."""
    while not place.exists() and not place.is_symlink():
        place = place.parent
    return place


def _tried(places: Iterable[Path]) -> Finding:
    """Write a few KiB wherever dewy writes: permissions tell nothing of a full disk."""
    for place in dict.fromkeys(map(_existing, places)):
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(SAMPLE)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            text = f"{place} cannot be written ({exc.strerror})"
            full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "free space" if full else "make the file system writable"
            return Finding(Level.FAILURE, "root", text, advice)
    return Finding(Level.OK, "root", "can be written")


def _user() -> str:
    return f"user id {os.geteuid()}"


def _room(root: Path) -> Finding:
    try:
        usage = shutil.disk_usage(root)
    except OSError as exc:
        return Finding(Level.FAILURE, "disk", f"{root}: {exc.strerror}")
    mebibytes = usage.free // (1024 * 1024)
    text = f"{mebibytes} MiB free"
    if usage.free < LEAST_FREE:
        advice = "make room, or lower --keep"
        return Finding(Level.ATTENTION, "disk", text, advice)
    return Finding(Level.OK, "disk", text)


def program_findings(
    settings: Settings, level: Level = Level.FAILURE
) -> Iterator[Finding]:
    """
    Check whether the program of `dewy server` can be executed; *level* if it cannot.
    """
    if not settings.program:
        return
    word = settings.program[0]
    if "/" not in word:
        found = shutil.which(word)
        yield (
            Finding(Level.OK, "program", f"{word} is {found}")
            if found
            else Finding(
                level,
                "program",
                f"{word} is not found in PATH",
                f"write the path to it, such as current/{word}",
            )
        )
        return
    yield _judged(settings.root, word, level)


def readiness_findings(settings: Settings, *, notifies: bool) -> Iterator[Finding]:
    """
    Check whether anything tells that a release of `dewy server` answers.

    *notifies* is whether its program ever sent READY=1, which is required from then on.
    """
    required = settings.ready == "notify" or (settings.ready == "auto" and notifies)
    if settings.health_path or required:
        return
    yield Finding(
        Level.ATTENTION,
        "health",
        "a release that never answers is taken once it has lived for --start-grace "
        f"({settings.start_grace:g} s)",
        "set --health-path, or have the program send READY=1 and set --ready notify",
    )


def _judged(root: Path, word: str, level: Level) -> Finding:
    path, current = root / word, root / "current"
    if not current.exists() and path.is_relative_to(current):
        text = f"{word} comes with the first release"
        return Finding(Level.OK, "program", text)
    if not path.exists():
        advice = "name a file that releases hold, such as current/NAME"
        return Finding(level, "program", f"{path} does not exist", advice)
    if not path.is_file() or not os.access(path, os.X_OK):
        text = f"{path} is not executable"
        return Finding(level, "program", text, f"chmod +x {path}")
    return Finding(Level.OK, "program", f"{word} is executable")
