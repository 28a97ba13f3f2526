"""The systemd unit that starts dewy in a root."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import Settings
from ..config.values import duration
from ..errors import ConfigError
from .finding import Finding, Level

__all__ = ["PLACES", "unit_findings"]

PLACES = (
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/lib/systemd/system"),
)
DEFAULT_STOP = 90.0

Unit = dict[str, list[str]]


def unit_findings(
    settings: Settings, places: Iterable[Path] = PLACES
) -> Iterator[Finding]:
    """
    Check this root's unit for settings that dewy needs otherwise; none without a unit.
    """
    units = dict(_of_root(settings.root, places))
    units = {n: u for n, u in units.items() if _runs(u, settings.command)}
    # A template is there for any root; its instance need not be.
    sure = sorted(name for name in units if "@." not in name)
    if len(sure) > 1:
        text = f"{' and '.join(sure)} work in {settings.root}"
        advice = "disable all but one: a root has one dewy"
        yield Finding(Level.ATTENTION, "unit", text, advice)
    for name, unit in units.items():
        problems = list(_problems(name, unit, settings))
        yield from problems or [Finding(Level.OK, "unit", f"{name} starts it")]


def _problems(name: str, unit: Unit, settings: Settings) -> Iterator[Finding]:
    command = _executable(unit)
    if command and not Path(command).exists():
        text = f"{name}: {command} does not exist"
        yield Finding(Level.FAILURE, "unit", text, "name this dewy in ExecStart=")
    stop, needed = _seconds(unit), float(getattr(settings, "shutdown_timeout", 0.0))
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
