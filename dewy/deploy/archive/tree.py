"""Writing entries into a directory, and never a byte outside of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Self

from ...errors import ArchiveError

# The number of links that the kernel follows in one path.
HOPS = 40

# The first bytes of what the kernel executes.
PROGRAMS = (b"\x7fELF", b"#!")

Parts = tuple[str, ...]


class _AbsoluteLink(ArchiveError):
    """A link on the way of a path has an absolute target."""


class Tree:
    """
    The directory that an archive is unpacked into.

    No path from an archive is ever given to the kernel to follow: links are
    followed here, one component at a time, and what leaves the directory is
    refused. A new file takes the place of what had its name and is not written
    through it. The process's umask applies; owners and times are not kept.

    Every method may raise ArchiveError, and OSError where the disk fails.

    Args:
        strip: The number of directories left out at the beginning of each name.

        absolute_links: Links may have absolute targets; nothing is written through
            them all the same.
    """

    def __init__(
        self, root: Path, *, strip: int = 0, absolute_links: bool = False
    ) -> None:
        self._strip = strip
        self._absolute_links = absolute_links
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mask = _umask()
        self._links: list[Parts] = []
        self._recent: tuple[Parts, Parts] = ((), ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._root)

    def stripped(self, name: str) -> str | None:
        """Return *name* without its first directories; None if nothing is left."""
        if not self._strip:
            return name
        return "/".join(_parts(name)[self._strip :]) or None

    def directory(self, name: str, mode: int) -> None:
        """Make a directory, or give one that exists its *mode*."""
        parts = _parts(name)
        if not parts:
            return  # The release directory keeps the mode that dewy gave it.
        mode = mode & 0o777 & ~self._mask | 0o700
        path = _join((*self._parent(parts, name), parts[-1]))
        if self._is_directory(path):
            os.chmod(path, mode, dir_fd=self._root)
        else:
            self._clear(path, name)
            os.mkdir(path, mode, dir_fd=self._root)

    def file(self, name: str, mode: int) -> BinaryIO:
        """Open a new file with the permission bits of *mode* for writing."""
        path = _join(self._place(name))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return open(os.open(path, flags, mode & 0o777, dir_fd=self._root), "wb")

    def symlink(self, name: str, target: str) -> None:
        """Make a symbolic link; what it leads to need not exist, but be inside."""
        place = self._place(name)
        if not target:
            raise ArchiveError(f"entry {quoted(name)} is a link to nothing")
        self._check_link(place, target, name)
        os.symlink(target, _join(place), dir_fd=self._root)

    def hard_link(self, name: str, target: str) -> None:
        """Give *target*, a file or a link unpacked before, another name."""
        parts = _parts(target)
        source = (*self._resolve(parts[:-1], name), *parts[-1:])
        link = self._target(_join(source)) if parts else None
        if link is None and not self._is_regular(_join(source)):
            raise ArchiveError(
                f"entry {quoted(name)} is a hard link to {quoted(target)}, "
                "which is no file unpacked before it"
            )
        own = _parts(name)
        if source == (*self._parent(own, name), *own[-1:]):
            return
        place = self._place(name)
        if link is not None:
            self._check_link(place, link, name)
        os.link(
            _join(source),
            _join(place),
            src_dir_fd=self._root,
            dst_dir_fd=self._root,
            follow_symlinks=False,
        )

    def make_executable(self, name: str) -> bool:
        """
        Let the program *name* be executed by whoever may read it.

        Return whether that was needed: the file is a program, by its first bytes, and
        nobody might execute it.
        """
        try:
            path = _join(self._resolve(_split(name), name))
        except ArchiveError:
            return False
        mode = stat.S_IMODE(self._mode(path))
        if not self._is_regular(path) or mode & 0o111 or not self._is_program(path):
            return False
        os.chmod(path, mode | (mode & 0o444) >> 2, dir_fd=self._root)
        return True

    def finish(self) -> None:
        """
        Check all links once more.

        A link made early may lead elsewhere through one that was made later.
        """
        for link in self._links:
            self._check_stay(link, _join(link))

    def _check_link(self, place: Parts, target: str, name: str) -> None:
        """Check where a link at *place* leads to, and note to do so again."""
        if target.startswith("/"):
            if not self._absolute_links:
                raise ArchiveError(
                    f"entry {quoted(name)} leads outside the release directory, to "
                    f"{quoted(target)}; --absolute-links allow accepts such links"
                )
        else:
            self._check_stay((*place[:-1], *_split(target)), name)
        self._links.append(place)

    def _check_stay(self, parts: Parts, name: str) -> None:
        try:
            self._resolve(parts, name)
        except _AbsoluteLink:
            if not self._absolute_links:
                raise

    def _place(self, name: str) -> Parts:
        """
        Return the place for a new entry: its directory made, what was there removed.
        """
        parts = _parts(name)
        if not parts:
            raise ArchiveError(f"entry {quoted(name)} has no name")
        place = (*self._parent(parts, name), parts[-1])
        self._clear(_join(place), name)
        return place

    def _parent(self, parts: Parts, name: str) -> Parts:
        above = parts[:-1]
        if above != self._recent[0]:
            resolved = self._resolve(above, name)
            for depth in range(len(resolved)):
                self._make_parent(_join(resolved[: depth + 1]), name)
            self._recent = (above, resolved)
        return self._recent[1]

    def _make_parent(self, path: str, name: str) -> None:
        try:
            os.mkdir(path, 0o755, dir_fd=self._root)
        except FileExistsError:
            if not self._is_directory(path):
                raise ArchiveError(
                    f"entry {quoted(name)} is below {quoted(path)}, which is a file"
                ) from None

    def _clear(self, path: str, name: str) -> None:
        try:
            if self._is_directory(path):
                os.rmdir(path, dir_fd=self._root)
            else:
                os.unlink(path, dir_fd=self._root)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise ArchiveError(
                f"entry {quoted(name)} would replace a directory that is not empty"
            ) from exc
        self._recent = ((), ())

    def _resolve(self, parts: Sequence[str], name: str) -> Parts:
        """Return the same place without links on the way; missing parts are kept."""
        todo = list(reversed(parts))
        done: list[str] = []
        hops = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if not done:
                    raise _outside(name)
                done.pop()
            elif (target := self._target(_join((*done, part)))) is None:
                done.append(part)
            else:
                hops += 1
                if hops > HOPS:
                    raise ArchiveError(f"entry {quoted(name)} is a circle of links")
                if target.startswith("/"):
                    raise _AbsoluteLink(str(_outside(name)))
                todo.extend(reversed(_split(target)))
        return tuple(done)

    def _target(self, path: str) -> str | None:
        """Return the target of the link at *path*; None if there is no link."""
        try:
            return os.readlink(path, dir_fd=self._root)
        except OSError as exc:
            if exc.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
                return None
            raise

    def _is_program(self, path: str) -> bool:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, dir_fd=self._root), "rb") as file:
            return file.read(4).startswith(PROGRAMS)

    def _is_directory(self, path: str) -> bool:
        return stat.S_ISDIR(self._mode(path))

    def _is_regular(self, path: str) -> bool:
        return stat.S_ISREG(self._mode(path))

    def _mode(self, path: str) -> int:
        """Return the type and mode of what is at *path*, 0 if nothing is."""
        try:
            return os.stat(path, dir_fd=self._root, follow_symlinks=False).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0


def quoted(name: str) -> str:
    """Return an entry's name as it may stand in a message: one line, not endless."""
    return repr(name if len(name) <= 200 else name[:200] + "…")


def _parts(name: str) -> Parts:
    """Return an entry's name taken apart; an absolute one counts from the release."""
    parts = _split(name)
    if ".." in parts:
        raise _outside(name)
    return tuple(parts)


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _join(parts: Sequence[str]) -> str:
    return "/".join(parts) or "."


def _outside(name: str) -> ArchiveError:
    return ArchiveError(f"entry {quoted(name)} leads outside the release directory")


def _umask() -> int:
    # Reading it by setting it would change it under the other threads.
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file)
            return int(lines["Umask"], 8)
    except (OSError, KeyError):
        return 0o022
