"""Parsing of `--volume`, `--mount` and `--tmpfs`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .quantities import absolute, fields, flag, size

__all__ = ["mount", "tmpfs", "volume"]

ROOT = "/"
PROPAGATIONS = frozenset(
    {"shared", "rshared", "slave", "rslave", "private", "rprivate"}
)
# At most one of each.
MODES = (
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    PROPAGATIONS,
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated"}),
)
KINDS = frozenset({"bind", "volume", "tmpfs"})

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_MODE = re.compile(r"[0-7]{1,5}")

Mount = dict[str, Any]


def volume(value: str, what: str, root: Path) -> tuple[str, str]:
    """
    Return the mount in an engine's terms, and its path in the container.

    The first is "" for an anonymous volume. Paths of this host that begin with a dot
    are relative to *root*.

    Raises:
        ConfigError: the value is not of the form [SOURCE:]PLACE[:MODES].
    """
    parts = value.split(":")
    if len(parts) > 3 or not all(parts):
        raise ConfigError(f"{what} {value!r} must be [SOURCE:]PLACE[:MODES]")
    source = parts[0] if len(parts) > 1 else ""
    place = _place(parts[1] if source else parts[0], what)
    if not source:
        return "", place
    modes = parts[2:]
    if modes:
        _check_modes(modes[0], what)
    return ":".join([_source(source, what, root), place, *modes]), place


def _place(path: str, what: str) -> str:
    if os.path.normpath(absolute(path, what)).strip(ROOT) == "":
        raise ConfigError(f"{what} {path!r} must not be mounted over the root")
    return path


def _source(text: str, what: str, root: Path) -> str:
    if text.startswith((".", ROOT)):
        return _here(text, root)
    if not _VOLUME_NAME.fullmatch(text):
        raise ConfigError(
            f"{what} {text!r} must be the name of a volume, or a path that begins "
            "with / or ./"
        )
    return text


def _here(path: str, root: Path) -> str:
    return os.path.normpath(root / path) if path.startswith(".") else path


def _check_modes(text: str, what: str) -> None:
    words = text.split(",")
    for word in words:
        if not any(word in group for group in MODES):
            raise ConfigError(f"{what} has no mode {word!r} (ro, rw, z, Z, nocopy …)")
    if any(len(group.intersection(words)) > 1 for group in MODES):
        raise ConfigError(
            f"{what} must not have modes that exclude each other: {text!r}"
        )


def tmpfs(value: str, what: str) -> tuple[str, str]:
    """Return the path in the container, and the options of the mount."""
    place, _, options = value.partition(":")
    return _place(place, what), options


def mount(value: str, what: str, root: Path) -> Mount:
    """
    Convert `type=bind,source=…,target=…` to an engine's form.

    Raises:
        ConfigError: a key is unknown, missing, or of another type of mount.
    """
    found: Mount = {"Type": "volume"}
    for key, content in fields(value, what):
        name = _ALIASES.get(key, key)
        read = _KEYS.get(name)
        if read is None:
            # A bare word may be the end of a password that had a comma in it.
            unknown = f"has no key {key!r}" if content else "holds a bare word"
            raise ConfigError(f"{what} {unknown} (known: {', '.join(_KEYS)})")
        read(found, content, f"{what} {key}")
    return _checked(found, what, root)


def _checked(found: Mount, what: str, root: Path) -> Mount:
    kind, source = found["Type"], found.get("Source", "")
    _place(found.get("Target", ""), f"{what} target")
    strangers = [
        key for key, owner in _OWNERS.items() if key in found and owner != kind
    ]
    if strangers or (kind == "tmpfs" and source):
        raise ConfigError(
            f"{what} of type {kind} has keys of another type; leave them out"
        )
    if kind == "bind":
        if not source.startswith((".", ROOT)):
            raise ConfigError(f"{what} of type bind needs a source such as /srv/data")
        return {**found, "Source": _here(source, root)}
    if source and not _VOLUME_NAME.fullmatch(source):
        raise ConfigError(f"{what} source {source!r} must be the name of a volume")
    return found


def _kind(found: Mount, content: str, what: str) -> None:
    if content not in KINDS:
        raise ConfigError(f"{what} {content!r} must be one of bind, volume, tmpfs")
    found["Type"] = content


def _propagation(text: str, what: str) -> str:
    if text not in PROPAGATIONS:
        raise ConfigError(
            f"{what} {text!r} must be one of {', '.join(sorted(PROPAGATIONS))}"
        )
    return text


def _octal(text: str, what: str) -> int:
    if not _MODE.fullmatch(text):
        raise ConfigError(f"{what} {text!r} must be octal, such as 1777")
    return int(text, 8)


def _on(text: str, what: str) -> bool:
    return flag(text or "true", what)


def _plain(text: str, what: str) -> str:
    if not text:
        raise ConfigError(f"{what} must not be empty")
    return text


def _at(
    *path: str, read: Callable[[str, str], Any] = _plain
) -> Callable[[Mount, str, str], None]:
    """Return a setter of the value at *path* of the mount."""

    def put(found: Mount, content: str, what: str) -> None:
        *outer, last = path
        for name in outer:
            found = found.setdefault(name, {})
        found[last] = read(content, what)

    return put


def _pair_at(*path: str) -> Callable[[Mount, str, str], None]:
    def put(found: Mount, content: str, what: str) -> None:
        key, _, value = _plain(content, what).partition("=")
        _at(*path, key, read=lambda text, what: text)(found, value, what)

    return put


_ALIASES = {
    "src": "source",
    "destination": "target",
    "dst": "target",
    "ro": "readonly",
}
_KEYS = {
    "type": _kind,
    "source": _at("Source"),
    "target": _at("Target"),
    "readonly": _at("ReadOnly", read=_on),
    "consistency": _at("Consistency"),
    "bind-propagation": _at("BindOptions", "Propagation", read=_propagation),
    "bind-nonrecursive": _at("BindOptions", "NonRecursive", read=_on),
    "volume-nocopy": _at("VolumeOptions", "NoCopy", read=_on),
    "volume-label": _pair_at("VolumeOptions", "Labels"),
    "volume-driver": _at("VolumeOptions", "DriverConfig", "Name"),
    "volume-opt": _pair_at("VolumeOptions", "DriverConfig", "Options"),
    "tmpfs-size": _at("TmpfsOptions", "SizeBytes", read=size),
    "tmpfs-mode": _at("TmpfsOptions", "Mode", read=_octal),
}
_OWNERS = {"BindOptions": "bind", "VolumeOptions": "volume", "TmpfsOptions": "tmpfs"}
