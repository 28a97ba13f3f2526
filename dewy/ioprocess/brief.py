"""Looks at files that are seldom needed, in a process where their mount may hang."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from .process import IOProcess

__all__ = ["leads_away", "look", "may_hang", "read"]

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a look may take."""


async def look(
    directory: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """
    Return what *function*, which touches what is below *directory*, returns there.

    That happens in a thread where every file system on the way is one of this host's
    disks, else in a helper process that ends with the call. One that hangs is kept, so
    that it stays the only one of the directory.

    Raises:
        OSError: the directory hangs, or the process was killed.
        Exception: raised by the function.
    """
    places = _by_loop.setdefault(asyncio.get_running_loop(), {})
    place = places.setdefault(directory, _Place(directory))
    touched = [directory, *(each for each in args if isinstance(each, Path))]
    # A process that hangs is still to be reaped when its mount is gone.
    if place.process.idle and not await asyncio.to_thread(_may_hang, touched):
        return await asyncio.to_thread(function, *args, **kwargs)
    async with place.turn:
        try:
            async with asyncio.timeout(PATIENCE):
                return await place.process.call(function, *args, **kwargs)
        except TimeoutError as exc:
            if isinstance(exc, OSError) and exc.errno:
                raise
            reason = f"not read within {PATIENCE:g} s"
            raise OSError(errno.ETIMEDOUT, reason, str(directory)) from None
        finally:
            if place.process.idle:
                await place.process.close()


def _may_hang(paths: Iterable[Path]) -> bool:
    return any(map(may_hang, paths))


class _Place:
    """The helper process of a directory, and whose turn it is."""

    def __init__(self, directory: Path) -> None:
        self.process = IOProcess(directory)
        self.turn = asyncio.Lock()


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Path, _Place]] = (
    WeakKeyDictionary()
)


MOUNTS = Path("/proc/self/mountinfo")

LOCAL = frozenset(
    {
        "bcachefs",
        "btrfs",
        "devtmpfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "overlay",
        "ramfs",
        "rootfs",
        "squashfs",
        "tmpfs",
        "xfs",
        "zfs",
    }
)
"""Types of file systems that neither another host nor a program answers for."""

MOST_LINKS = 40

Links = Callable[[PurePath], str | None]


def may_hang(path: Path) -> bool:
    """
    Return whether a look at *path* could wait for another host, or for a program.

    No directory that could is touched in order to find out.
    """
    try:
        mounts = read(MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return True
    return leads_away(PurePath(os.path.abspath(path)), mounts, _link)


def read(text: str) -> dict[PurePath, str]:
    """Return the type of each mount (proc(5), `/proc/pid/mountinfo`)."""
    mounts = {}
    for line in text.splitlines():
        words, _, rest = line.partition(" - ")
        if len(fields := words.split(" ")) > 4 and rest:
            mounts[PurePath(_unescaped(fields[4]))] = rest.split(" ")[0]
    return mounts


def leads_away(path: PurePath, mounts: Mapping[PurePath, str], link: Links) -> bool:
    """
    Return whether *path*, its links followed, touches a mount that may hang (pure).

    *link* returns the target of a symbolic link, and None for anything else.
    """
    here, ahead, links = PurePath("/"), path.parts[1:], 0
    while _type(here, mounts) in LOCAL:
        if target := link(here):
            joined = PurePath(os.path.normpath(here.parent / target))
            here, ahead, links = PurePath("/"), (*joined.parts[1:], *ahead), links + 1
        elif ahead and links < MOST_LINKS:
            here, ahead = here / ahead[0], ahead[1:]
        else:
            return False
    return True


def _type(path: PurePath, mounts: Mapping[PurePath, str]) -> str:
    for place in (path, *path.parents):
        if place in mounts:
            return mounts[place]
    return ""


def _link(path: PurePath) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
