"""This host: its clock and descriptors, the root, and the unit that starts dewy."""

from __future__ import annotations

import ctypes
import errno
import fnmatch
import os
import re
import resource
import shlex
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import Settings
from ..config.values import duration
from ..errors import ConfigError
from .finding import Finding, Level

__all__ = [
    "UNIT_PLACES",
    "clock_finding",
    "descriptor_finding",
    "host_findings",
    "program_findings",
    "readiness_findings",
    "root_findings",
    "unit_findings",
]

TIME_ERROR = 5
LEAST_DESCRIPTORS = 1024
SCARCE = 0.8
# Larger than struct timex anywhere; all zero, so nothing is set.
TIMEX = 512


def host_findings(running: int) -> list[Finding]:
    """
    Check the clock, and the descriptors of *running*, a dewy's pid, or of a next one.
    """
    if sys.platform != "linux":
        return []
    return [clock_finding(_clock_state()), _descriptors(running)]


def clock_finding(state: int) -> Finding:
    """Judge the clock by *state*, as adjtimex(2) returns it."""
    if state == TIME_ERROR:
        text = "the clock is not synchronised, as far as the kernel knows"
        advice = "run chrony or systemd-timesyncd: TLS and quarantine depend on it"
        return Finding(Level.ATTENTION, "clock", text, advice)
    return Finding(Level.OK, "clock", "synchronised")


def _clock_state() -> int:
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX)))


def _descriptors(running: int) -> Finding:
    if not running:
        return descriptor_finding(0, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    try:
        place = Path(f"/proc/{running}")
        used = sum(1 for _ in (place / "fd").iterdir())
        limits = (place / "limits").read_text(encoding="ascii").splitlines()
        row = next(line for line in limits if line.startswith("Max open files"))
        soft = row.split()[3]
        limit = -1 if soft == "unlimited" else int(soft)
    except (OSError, ValueError, IndexError, StopIteration):
        text = f"those of pid {running} cannot be seen"
        return Finding(Level.ATTENTION, "descriptors", text, "ask as root")
    return descriptor_finding(used, limit)


def descriptor_finding(used: int, limit: int) -> Finding:
    """Judge *used* of *limit* descriptors; a *limit* below 0 is none."""
    text = f"{used} of {limit if limit >= 0 else 'unlimited'} used"
    if 0 <= limit < LEAST_DESCRIPTORS or 0 <= limit * SCARCE < used:
        advice = "raise LimitNOFILE= of the unit (ulimit -n)"
        return Finding(Level.ATTENTION, "descriptors", text, advice)
    return Finding(Level.OK, "descriptors", text)


LEAST_FREE = 512 * 1024 * 1024
SAMPLE = bytes(16 * 1024)
WRITABLE = "make the file system writable"


def root_findings(settings: Settings) -> Iterator[Finding]:
    """Check whether *settings.root* can be written and has room."""
    root = settings.root
    places = [root, settings.private, root / "releases", settings.cache_dir]
    refused = [each for each in places if not _writable(each)]
    for place in refused:
        yield Finding(Level.FAILURE, "root", *_refused(place))
    if not refused:
        yield _tried(places)
    yield _room(root)


def _writable(place: Path) -> bool:
    """Return whether *place*, or the directory it would be made in, takes new files."""
    place = _existing(place)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _refused(place: Path) -> tuple[str, str]:
    """Return why *place* takes no new files, and what to do about it."""
    if os.statvfs(_existing(place)).f_flag & os.ST_RDONLY:
        return f"{place} is on a read-only file system", WRITABLE
    owner = "give it to the user dewy runs as (chown -R), or run dewy as its owner"
    return f"{place} cannot be written by {_user()}", owner


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
            advice = "free space" if full else WRITABLE
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
    Check whether dewy can know that a release of `dewy server` answers.

    *notifies* is whether its program ever sent READY=1, which is required from then on.
    """
    required = settings.ready == "notify" or (settings.ready == "auto" and notifies)
    if settings.health_path or required:
        return
    yield Finding(
        Level.ATTENTION,
        "health",
        "a release that never answers is accepted once it has run for --start-grace "
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


UNIT_PLACES = (
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/lib/systemd/system"),
)
DEFAULT_STOP = 90.0

Unit = dict[str, list[str]]


def unit_findings(
    settings: Settings, places: Iterable[Path] = UNIT_PLACES
) -> Iterator[Finding]:
    """Check this root's unit for settings that do not fit dewy; none without a unit."""
    units = dict(_of_root(settings.root, places))
    units = {n: u for n, u in units.items() if _runs(u, settings.command)}
    # A template is there for any root; its instance need not be.
    sure = sorted(name for name in units if "@." not in name)
    if len(sure) > 1:
        text = f"{' and '.join(sure)} work in {settings.root}"
        advice = "disable all but one, since a root has one dewy"
        yield Finding(Level.ATTENTION, "unit", text, advice)
    for name, unit in units.items():
        problems = list(_problems(name, unit, settings))
        yield from problems or [Finding(Level.OK, "unit", f"{name} starts it")]


def _problems(name: str, unit: Unit, settings: Settings) -> Iterator[Finding]:
    command = _executable(unit)
    if command and not Path(command).exists():
        text = f"{name}: {command} does not exist"
        yield Finding(Level.FAILURE, "unit", text, "name this dewy in ExecStart=")
    stop, needed = _seconds(unit), settings.shutdown_timeout
    if 0 < stop < needed:
        text = f"{name}: TimeoutStopSec={stop:g} is less than --shutdown-timeout"
        advice = f"raise it above {needed:g} s, or systemd kills what still drains"
        yield Finding(Level.ATTENTION, "unit", text, advice)
    kill = _last(unit, "KillMode") or "control-group"
    if kill in ("process", "none"):
        text = f"{name}: KillMode={kill} leaves programs behind"
        yield Finding(Level.ATTENTION, "unit", text, "say KillMode=mixed")
    if (_last(unit, "Restart") or "no") == "no":
        text = f"{name}: a dewy that dies is not started again"
        yield Finding(Level.ATTENTION, "unit", text, "say Restart=on-failure")
    if _last(unit, "Type") not in ("notify", "notify-reload"):
        text = f"{name}: systemd does not know when dewy is ready"
        yield Finding(Level.ATTENTION, "unit", text, "say Type=notify")


def _of_root(root: Path, places: Iterable[Path]) -> Iterator[tuple[str, Unit]]:
    places, seen = list(places), set()
    for place in places:
        for path in sorted(place.glob("*.service")):
            if path.name in seen:
                continue
            seen.add(path.name)
            unit = _read([path, *_drop_ins(path.name, places)])
            if _is_dewy(unit) and _works_in(unit, root):
                yield path.name, unit


def _drop_ins(name: str, places: Iterable[Path]) -> list[Path]:
    return [each for p in places for each in sorted((p / f"{name}.d").glob("*.conf"))]


def _read(paths: Iterable[Path]) -> Unit:
    unit: Unit = defaultdict(list)
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and key[:1] not in ("#", ";"):
                unit[key.strip()].append(value.strip())
    return unit


def _last(unit: Unit, key: str) -> str:
    return unit[key][-1] if unit.get(key) else ""


def _executable(unit: Unit) -> str:
    try:
        words = shlex.split(_last(unit, "ExecStart"))
    except ValueError:
        return ""
    return words[0].lstrip("@-:+!|") if words else ""


def _is_dewy(unit: Unit) -> bool:
    return "dewy" in _last(unit, "ExecStart")


def _runs(unit: Unit, command: str) -> bool:
    """Return whether *unit* runs dewy's *command*, or does not tell which."""
    words = _last(unit, "ExecStart").split()
    named = [word for word in words if word in ("server", "assets", "container")]
    return not named or command in named


def _works_in(unit: Unit, root: Path) -> bool:
    # Of a template, any instance.
    place = re.sub(r"%[iIjJ]", "*", _last(unit, "WorkingDirectory").lstrip("-"))
    return bool(place) and fnmatch.fnmatchcase(str(root), place.rstrip("/"))


def _seconds(unit: Unit) -> float:
    """Return the seconds from SIGTERM to SIGKILL; 0 for never."""
    text = _last(unit, "TimeoutStopSec") or _last(unit, "TimeoutSec")
    spelled = re.sub(r"\s+|(?<=m)in\b|(?<=s)ec\b", "", text)
    if not text or text == "infinity":
        return DEFAULT_STOP if not text else 0.0
    try:
        return duration(spelled, "TimeoutStopSec")
    except ConfigError:
        return DEFAULT_STOP
