"""
The link `current`, which leads to the release that is started.

While a release is tried, a second link lies beside it: `current.<directory>.undo`,
named after the release that is tried and leading where `current` led before. Going
back is one rename, which needs neither space nor an inode; and the next dewy knows
by it that this one was killed in the middle.
"""

from __future__ import annotations

import logging
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DeploymentError
from ..files import FULL, sync_directory
from ..system import utc

log = logging.getLogger(__name__)

UNDO = ".undo"


class Current:
    """
    The link in *root*, an absolute path. Every method blocks.

    It points at directories in `releases/` beside it, by absolute paths.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._link = root / "current"
        self._draft = root / "current.tmp"
        # Links whose inodes make room for two others where the disk has no more.
        self._spares = [root / ".dewy" / f"spare-{n}" for n in (1, 2)]

    def switch(self, target: Path) -> None:
        """
        Point at the release directory *target*, atomically.

        Raises:
            DeploymentError: *target* does not exist, or `current` is not a link that
                dewy could replace.
        """
        if not target.is_dir():
            raise DeploymentError(
                f"{target} is gone; deploy that release again", host=True
            )
        if os.path.lexists(self._link) and not self._link.is_symlink():
            raise DeploymentError(
                f"{self._link} is not a link; move it away, "
                "so that dewy can make it one",
                host=True,
            )
        with told(f"cannot point {self._link} at {target}"):
            self._make(self._draft, target)
            self._draft.replace(self._link)
            sync_directory(self._root)
        self._keep_spares(target)
        log.info("Create symlink", extra={"link": str(self._link), "to": str(target)})

    def set_aside(self) -> Path | None:
        """
        Rename the file or directory that stands in place of the link.

        Return its new path; None if there is none.

        Raises:
            DeploymentError: it could not be renamed.
        """
        if self._link.is_symlink() or not os.path.lexists(self._link):
            return None
        stamp = f"{utc(time.time()):%Y%m%dT%H%M%S.%fZ}"
        aside = self._root / f"current.aside-{stamp}"
        with told(f"cannot move {self._link} away"):
            self._link.rename(aside)
        return aside

    def withdraw(self) -> None:
        """
        Remove the link; nothing happens if there is none.

        Raises:
            DeploymentError: the link could not be removed.
        """
        if self._link.is_symlink():
            with told(f"cannot remove {self._link}"):
                self._link.unlink()
                sync_directory(self._root)
            log.info("Removed symlink", extra={"link": str(self._link)})

    def target(self) -> str | None:
        """Name of the release directory it leads to; None if it leads to none."""
        try:
            target = self._root / os.readlink(self._link)
        except OSError:
            return None
        releases = os.path.realpath(self._root / "releases")
        ours = os.path.realpath(target.parent) == releases
        return target.name if ours and target.is_dir() else None

    def begin(self, tried: Path, back: Path | None) -> None:
        """
        Prepare the way back from *tried* to *back*; None if `current` led nowhere.

        Raises:
            DeploymentError: the mark could not be made, and `current` must not move.
        """
        marker = self._marker(tried.name)
        with told(f"cannot make {marker}"):
            self._make(marker, back or "releases")
            sync_directory(self._root)

    def undo(self, tried: Path, back: Path | None) -> None:
        """
        Point at *back* again; at nothing if it is None.

        Raises:
            DeploymentError: the link could not be moved; the mark of `begin` stays.
        """
        marker = self._marker(tried.name)
        if back is None:
            self.withdraw()
        elif marker.is_symlink() and os.readlink(marker) == str(back) and back.is_dir():
            with told(f"cannot point {self._link} at {back}"):
                marker.replace(self._link)
                sync_directory(self._root)
            log.info("Create symlink", extra={"link": str(self._link), "to": str(back)})
        else:
            self.switch(back)
        self.end(tried)

    def end(self, tried: Path) -> None:
        """Remove the way back from *tried*. Failures are logged."""
        _discard(self._marker(tried.name))

    def interrupted(self) -> frozenset[str]:
        """Names of the release directories that a killed dewy was trying."""
        return frozenset(
            path.name.removeprefix("current.").removesuffix(UNDO)
            for path in self._root.glob(f"current.*{UNDO}")
        )

    def clear(self) -> None:
        """Forget every interrupted switch. Failures are logged."""
        for marker in self._root.glob(f"current.*{UNDO}"):
            _discard(marker)

    def clear_draft(self) -> None:
        """Remove what an interrupted move left. Failures are logged."""
        if self._draft.is_symlink():
            _discard(self._draft)

    def origin(self) -> dict[str, str]:
        """Owner and time of the link as it is, for the log; empty without a link."""
        try:
            link = self._link.lstat()
        except OSError:
            return {}
        try:
            owner = pwd.getpwuid(link.st_uid).pw_name
        except KeyError:
            owner = str(link.st_uid)
        return {"owner": owner, "moved": utc(link.st_mtime).isoformat()}

    def _make(self, link: Path, target: Path | str) -> None:
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(target)
        except OSError as exc:
            spare = next((each for each in self._spares if each.is_symlink()), None)
            if exc.errno not in FULL or spare is None:
                raise
            spare.unlink()
            link.symlink_to(target)

    def _keep_spares(self, target: Path) -> None:
        for spare in self._spares:
            with suppress(OSError):  # the next move tries again
                spare.symlink_to(target)

    def _marker(self, directory: str) -> Path:
        return self._root / f"current.{directory}{UNDO}"


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("Removal failed", extra={"path": str(path), "error": str(exc)})


@contextmanager
def told(what: str) -> Iterator[None]:
    """Translate errors of the file system into a DeploymentError about *what*."""
    try:
        yield
    except OSError as exc:
        reason = "no space left" if exc.errno in FULL else str(exc)
        raise DeploymentError(f"{what}: {reason}", host=True) from exc
