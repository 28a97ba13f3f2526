"""Mounts that may hang: those of servers and of programs, rather than of disks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

__all__ = ["leads_away", "may_hang", "read"]

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
