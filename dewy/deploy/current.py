"""The link `current`, which says where the release is that counts."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DeploymentError
from ..files import sync_directory

log = logging.getLogger(__name__)


class Current:
    """
    The link in *root*, an absolute path. Every method blocks.

    It points at directories in `releases/` beside it, by absolute paths.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._link = root / "current"
        self._draft = root / "current.tmp"

    def switch(self, target: Path) -> None:
        """
        Point at the release directory *target*, atomically.

        Raises:
            DeploymentError: it is not there, or `current` is not a link that
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
            self._draft.unlink(missing_ok=True)
            self._draft.symlink_to(target)
            self._draft.replace(self._link)
            sync_directory(self._root)
        log.info("Create symlink", extra={"link": str(self._link), "to": str(target)})

    def withdraw(self) -> None:
        """
        Remove the link; nothing happens if there is none.

        Raises:
            DeploymentError: it could not be removed.
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

    def clear_draft(self) -> None:
        """Remove what an interrupted switch left, if that is possible."""
        if self._draft.is_symlink():
            with suppress(OSError):
                self._draft.unlink()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the file system refuses into a DeploymentError about *what*."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "no space left" if full else str(exc)
        raise DeploymentError(f"{what}: {reason}", host=True) from exc
