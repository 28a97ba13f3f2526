"""
Environment and command line of a generation, read anew for each.

Sockets are announced in both dialects that programs understand: Server::Starter's
(SERVER_STARTER_PORT, SERVER_STARTER_GENERATION) and systemd's (LISTEN_FDS,
LISTEN_FDNAMES; LISTEN_PID is written by the child itself).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config.env_file import read_env_file
from ..errors import ConfigError
from ..ioprocess.process import IOProcess
from ..logs import summary

__all__ = [
    "EnvDir",
    "EnvFiles",
]

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR = 3
GENERATION = "DEWY_GENERATION"

_OURS = frozenset(
    {
        GENERATION,
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "NOTIFY_SOCKET",
        "SERVER_STARTER_GENERATION",
        "SERVER_STARTER_PORT",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)


def environment(
    base: Mapping[str, str],
    *,
    generation: int,
    names: Sequence[str],
    notify: str,
    mark: str = "",
) -> dict[str, str]:
    """
    Return *base* with the supervisor's variables.

    Args:
        names: Names of the sockets at descriptors 3, 4, … in this order.

        notify: Address to which this generation sends READY=1.

        mark: Mark by which everything this generation starts is recognised.
    """
    result = {name: value for name, value in base.items() if name not in _OURS}
    pairs = (f"{name}={fd}" for fd, name in enumerate(names, FIRST_DESCRIPTOR))
    result["SERVER_STARTER_PORT"] = ";".join(pairs)
    result["SERVER_STARTER_GENERATION"] = str(generation)
    result["NOTIFY_SOCKET"] = notify
    if mark:
        result[GENERATION] = mark
    if names:
        result["LISTEN_FDS"] = str(len(names))
        result["LISTEN_FDNAMES"] = ":".join(map(_descriptor_name, names))
    return result


def read_envdir(directory: Path) -> dict[str, str]:
    """
    Return variables from a directory of files, as Server::Starter's ENVDIR.

    A file's name is the variable's, its first line the value. Hidden files and
    names with `=` are left out.

    Raises:
        OSError: the directory or a file cannot be read.
    """
    variables = {}
    for file in sorted(directory.iterdir()):
        if file.is_file() and not file.name.startswith(".") and "=" not in file.name:
            first, _, _ = file.read_text(errors="surrogateescape").partition("\n")
            variables[file.name] = first
    return variables


def _descriptor_name(name: str) -> str:
    # systemd separates names by colons, and calls what has no name "unknown".
    port = name.rpartition(":")[2] or "unknown"
    return port if ":" in name else name


PATIENCE = 5.0
"""Seconds that a start waits for the directory."""


class EnvDir:
    """
    Reader of the directory in a helper process, as reading may hang.

    While the directory cannot be read, the variables of the last reading stand.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disk: IOProcess | None = None
        self._last: Mapping[str, str] = {}

    async def read(self, directory: str) -> Mapping[str, str]:
        """
        Return the variables in *directory*, below the root; none if it is "".
        """
        if not directory:
            return {}
        path = self._root / directory
        if self._disk is None or self._disk.directory != path:
            await self.close()
            self._disk = IOProcess(path)
        try:
            async with asyncio.timeout(PATIENCE):
                self._last = await self._disk.call(read_envdir, path)
        except (OSError, TimeoutError) as exc:
            log.warning("ENVDIR not read", extra={"dir": directory, "error": str(exc)})
        return self._last

    async def close(self) -> None:
        """End the helper process."""
        if self._disk is not None:
            await self._disk.close()


class EnvFiles:
    """
    Reader of files of variables, the later ones on top, as `EnvDir` is of directories.

    Args:
        paths: The files, below *root* where they are relative.
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self._disks = {root / path: IOProcess((root / path).parent) for path in paths}
        self._last: dict[Path, Mapping[str, str]] = {}

    async def read(self) -> dict[str, str]:
        """Return the variables; of what cannot be read those of the last time."""
        for path, disk in self._disks.items():
            what, ours = "--env-file", dict(os.environ)
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await disk.call(read_env_file, path, what, ours)
                    self._last[path] = found
            except (ConfigError, OSError, TimeoutError) as exc:
                fields = {"file": str(path), "error": summary(exc)}
                log.warning("Env file not read", extra=fields)
        kept = [self._last.get(path, {}) for path in self._disks]
        return {name: value for each in kept for name, value in each.items()}

    async def close(self) -> None:
        """End the helper processes."""
        for disk in self._disks.values():
            await disk.close()


def pinned(program: Sequence[str], root: Path) -> list[str]:
    """
    Return *program* with paths through `current` leading to where it leads now.

    `current` moves while a program starts: when another release is tried, or when
    what serves has to be started again meanwhile. A program that opens its files a
    moment later must not find those of the other release. Only words that begin
    with `current/`, or with its absolute path, are paths for certain.
    """
    link = root / "current"
    target = os.path.realpath(link)
    if target == str(link) or not os.path.isdir(target):
        return list(program)
    relative = os.path.relpath(target, os.path.realpath(root))
    if relative.startswith(".."):
        relative = target
    return [
        _pin(_pin(word, "current/", relative), f"{link}/", target) for word in program
    ]


def release_of(root: Path) -> str:
    """Return the name of the release directory `current` leads to; "" without one."""
    try:
        return os.path.basename(os.readlink(root / "current").rstrip("/"))
    except OSError:
        return ""


def _pin(word: str, prefix: str, target: str) -> str:
    if not word.startswith(prefix):
        return word
    return f"{target}/{word.removeprefix(prefix)}"
