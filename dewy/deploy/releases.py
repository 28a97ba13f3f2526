"""The directories of releases, and the link `current`."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from threading import Event

from ..errors import DeploymentError
from ..files import sync_directory
from ..system import completed, to_the_end
from .archive import UnpackRules, unpack
from .current import Current, told

log = logging.getLogger(__name__)

DIRECTORY = re.compile(r"\d{8}T\d{6}Z(-\d+)?", re.ASCII)
PARTIAL = re.compile(rf"\.{DIRECTORY.pattern}\.partial", re.ASCII)
LOST_WRITES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


class Releases:
    """
    The owner of `releases/` and the link `current` in *root*.

    A release directory is named after the second it was reserved in (UTC), and
    is complete or absent: it is filled and emptied under a hidden name. *rules* are
    those of unpacking.

    Attributes:
        trial: The release that `current` is being moved to, while it is tried.

        moving: Lock held while `current` is moved.

        placed: The release directory that dewy pointed `current` at last.

        users: Each returns the release directories from which a living process was
            started; they are not removed.
    """

    def __init__(self, root: Path, rules: UnpackRules | None = None) -> None:
        self._rules = rules or UnpackRules()
        self._releases = root.absolute() / "releases"
        self._current = Current(root.absolute())
        self.moving = asyncio.Lock()
        self.trial: Trial | None = None
        self.placed: str | None = None
        self.users: list[Callable[[], Collection[str]]] = []

    def path(self, directory: str) -> Path:
        """
        Return the path of the release directory *directory*, which need not exist.
        """
        return self._releases / directory

    async def reserve(self, now: datetime) -> str:
        """
        Choose a name that no release directory has.

        Nothing is made yet; *now* is an aware datetime.
        """
        return await asyncio.to_thread(self._reserve, now)

    async def unpack(self, artifact: Path, file: str, directory: str) -> Path:
        """
        Unpack *artifact*, published as *file*, into a new release directory.

        Returns its path once everything is on the disk. On an error, and when
        cancelled, nothing remains of it.

        Raises:
            ArchiveError: the artifact is broken or not acceptable.
            DeploymentError: the file system refused, for one because it is full.
        """
        stop = Event()
        work = asyncio.ensure_future(
            asyncio.to_thread(self._unpack, artifact, file, directory, stop)
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            work.exception()
            raise

    async def switch(self, directory: str) -> None:
        """
        Point `current` at the release *directory*, atomically.

        Raises:
            DeploymentError: the release does not exist, or `current` is not a link that
                dewy could replace.
        """
        async with self.moving:
            await self._point(directory)

    async def put_back(self, directory: str) -> None:
        """Switch to *directory*, which a trial under way goes back to as well."""
        if self.trial is not None:
            self.trial.lead_back(directory)
        await self.switch(directory)

    def own(self, directory: str | None) -> None:
        """Take `current`, which leads to *directory*, for what dewy made it."""
        self.placed = directory

    async def undo(self, directory: str, back: str | None) -> None:
        """
        Point `current`, which leads to *directory*, at *back* again, or nowhere.

        Raises:
            DeploymentError: `current` cannot be pointed there.
        """
        where = None if back is None else self.path(back)
        await to_the_end(self._current.undo, self.path(directory), where)
        self.placed = back

    async def _point(self, directory: str) -> None:
        await to_the_end(self._current.switch, self.path(directory))
        self.placed = directory
        if self.trial is None:
            # Left by an undo that failed: there is nothing to go back from now.
            await asyncio.to_thread(self._current.clear)

    @asynccontextmanager
    async def trying(self, directory: str) -> AsyncIterator[Trial]:
        """
        Try the release *directory*; if the block ends with an error, `current` is put
        back.

        A failure to put it back is logged, and `restore` tries again.
        """
        self.trial = trial = Trial(self, self._current, directory)
        try:
            yield trial
        except BaseException:
            self._end(trial)
            await completed(trial.undo())
            raise
        self._end(trial)
        await asyncio.to_thread(self._current.end, self.path(directory))

    def _end(self, trial: Trial) -> None:
        if self.trial is trial:
            # The next trial does not wait for a long undo.
            self.trial = None

    async def restore(self, directory: str) -> None:
        """
        Point `current` at *directory* if it leads elsewhere.

        A move by others is logged with the link's owner and time. A file or a directory
        in place of the link is renamed, and that is logged.

        Raises:
            DeploymentError: `current` cannot be pointed there.
        """
        async with self.moving:
            target = await self.target()
            if target == directory:
                return
            expected, origin = self.placed, await self.origin()
            aside = await asyncio.to_thread(self._current.set_aside)
            if aside:
                origin["aside"] = str(aside)
            await self._point(directory)
        elsewhere = target is None and bool(origin)
        if aside or elsewhere or target != expected:
            log.warning(
                "Put back current, which somebody moved; to go back to another "
                "release, use dewy rollback",
                extra={"was": target or "nowhere", "now": directory, **origin},
            )

    async def interrupted(self) -> frozenset[str]:
        """Release directories that a killed dewy was trying."""
        return await asyncio.to_thread(self._current.interrupted)

    async def origin(self) -> dict[str, str]:
        """Return `owner` and `moved` (ISO 8601) of the link `current`."""
        return await asyncio.to_thread(self._current.origin)

    async def withdraw(self) -> None:
        """
        Remove the link `current`; nothing happens if there is none.

        Raises:
            DeploymentError: the link could not be removed.
        """
        await to_the_end(self._current.withdraw)

    async def target(self) -> str | None:
        """
        Name of the release directory that `current` points at.

        None if there is no link, or it leads elsewhere.
        """
        return await asyncio.to_thread(self._current.target)

    async def names(self) -> frozenset[str]:
        """
        Return the release directories that are there.

        Raises:
            OSError: the disk cannot be read, so they must not be taken for gone.
        """
        return await asyncio.to_thread(self._names)

    async def present(self, directories: Iterable[str]) -> frozenset[str]:
        """Return those of *directories*, release directories, that are there."""
        return await asyncio.to_thread(
            lambda: frozenset(each for each in directories if self.path(each).is_dir())
        )

    async def prune(self, keep: Collection[str]) -> None:
        """
        Remove release directories that are neither in *keep*, in use nor `current`.

        What is not named like one of ours stays. Failures are logged.
        """
        in_use = chain.from_iterable(user() for user in self.users)
        await asyncio.to_thread(self._prune, {*keep, *in_use})

    async def clear_partial(self) -> None:
        """Remove what an interrupted dewy left incomplete. Failures are logged."""
        await asyncio.to_thread(self._clear_partial)

    async def clear_trials(self) -> None:
        """Forget the interrupted trials. Failures are logged."""
        await asyncio.to_thread(self._current.clear)

    def _reserve(self, now: datetime) -> str:
        stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        name, count = stamp, 1
        while os.path.lexists(self.path(name)) or os.path.lexists(self._partial(name)):
            count += 1
            name = f"{stamp}-{count}"
        return name

    def _unpack(self, artifact: Path, file: str, directory: str, stop: Event) -> Path:
        partial, final = self._partial(directory), self.path(directory)
        with told(f"cannot make {final}"):
            self._releases.mkdir(mode=0o755, parents=True, exist_ok=True)
            _remove(partial)
            partial.mkdir(mode=0o755)
            try:
                _fill(partial, artifact, file, self._rules, stop)
                partial.rename(final)
            except BaseException:
                _remove(partial)
                raise
            sync_directory(self._releases)
        return final

    def _names(self) -> frozenset[str]:
        return frozenset(
            path.name
            for path in self._children()
            if DIRECTORY.fullmatch(path.name)
            and path.is_dir()
            and not path.is_symlink()
        )

    def _prune(self, keep: set[str]) -> None:
        there: frozenset[str] = frozenset()
        with _warned(self._releases):
            there = self._names()
        for name in sorted(there - keep - {self._current.target()}):
            path = self.path(name)
            with _warned(path):
                # Under its own name a directory is complete.
                _remove(path.rename(self._partial(name)))
                log.info("Removed release", extra={"directory": name})

    def _clear_partial(self) -> None:
        with _warned(self._releases):
            for path in filter(_is_partial, self._children()):
                with _warned(path):
                    _remove(path)
        self._current.clear_draft()

    def _partial(self, directory: str) -> Path:
        return self._releases / f".{directory}.partial"

    def _children(self) -> list[Path]:
        try:
            return sorted(self._releases.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


class Trial:
    """
    The move of `current` to a release on trial, and back.

    Attributes:
        back: The release directory to go back to; None for nowhere.
    """

    def __init__(self, releases: Releases, current: Current, directory: str) -> None:
        self._releases = releases
        self._current = current
        self._directory = directory
        self._begun = False
        self._before: str | None = None
        self._moving = asyncio.Lock()
        self.back: str | None = None

    async def place(self) -> None:
        """
        Point `current` at the release that is tried.

        Raises:
            DeploymentError: `current` cannot be pointed there.
        """
        async with self._moving:
            if self._releases.trial is not self:
                return
            if not self._begun:
                self.back = await self._releases.target()
                self._before = self._releases.placed
                self._begun = True
                back = None if self.back is None else self._releases.path(self.back)
                await to_the_end(self._current.begin, self._path(), back)
            await self._releases.switch(self._directory)

    async def undo(self) -> None:
        """
        Point `current` back, unless dewy pointed it at another release meanwhile.

        A failure is logged.
        """
        async with self._moving, self._releases.moving:
            if not self._begun:
                return
            later = self._releases.trial
            if later is not None and later.back == self._directory:
                later.lead_back(self.back)
            mine = (self._before, self.back, self._directory)
            if self._releases.placed not in mine:
                await asyncio.to_thread(self._current.end, self._path())
                return
            try:
                await self._releases.undo(self._directory, self.back)
            except DeploymentError as exc:
                log.error("Current not put back", extra={"error": str(exc)})

    def lead_back(self, directory: str | None) -> None:
        """Go back to *directory* if this fails: what runs is there by now."""
        self.back = directory

    def _path(self) -> Path:
        return self._releases.path(self._directory)


def _fill(
    partial: Path, artifact: Path, file: str, rules: UnpackRules, stop: Event
) -> None:
    # Opened first: a write that the disk loses is told to earlier descriptors.
    descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack(artifact, file, partial, rules, stop)
        _sync_file_system(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(descriptor: int) -> None:
    """Bring what was written to the disk; files are too many for one fsync each."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) < 0 and ctypes.get_errno() in LOST_WRITES:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _is_partial(path: Path) -> bool:
    return bool(PARTIAL.fullmatch(path.name))


def _remove(path: Path) -> None:
    """Remove a directory, however its modes are; nothing happens if it is gone."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        _unlock(path)
        shutil.rmtree(path)


def _unlock(path: Path) -> None:
    path.chmod(0o700)
    for parent, directories, _ in os.walk(path):
        for name in directories:
            child = Path(parent, name)
            if not child.is_symlink():
                with suppress(OSError):
                    child.chmod(0o700)


@contextmanager
def _warned(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        log.warning("Removal failed", extra={"path": str(path), "error": str(exc)})
