"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, Self

from ..errors import DeploymentError
from ..files import sync_directory
from ..system import to_the_end

P = ParamSpec("P")


class PartialFile:
    """
    `<into>.part`, written in threads, and renamed to *into* when its block ends.

    If the block fails or is cancelled, neither file is left.

    Raises:
        DeploymentError: the file could not be written, as on a full disk.
    """

    def __init__(self, into: Path) -> None:
        self._into = into
        self._path = into.with_name(f"{into.name}.part")
        self._opened: BinaryIO | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._on_disk(self._open)
        except BaseException:
            await self._on_disk(self._discard)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self._on_disk(self._finish)
        except BaseException:
            await self._on_disk(self._discard)
            raise
        if kind is not None:
            await self._on_disk(self._discard)

    async def write(self, piece: bytes | bytearray) -> None:
        """Append *piece*."""
        await self._on_disk(self._file.write, piece)

    async def restart(self) -> None:
        """Discard all bytes written so far."""
        await self._on_disk(self._empty)

    async def rewrite(self, change: Callable[[Path, Path], bool]) -> None:
        """
        Replace the file by the one that *change* writes, if it returns True.

        *change* runs in a thread, with the paths to read from and to write to.
        """
        await self._on_disk(self._rewrite, change)

    @property
    def _file(self) -> BinaryIO:
        assert self._opened is not None, "a partial file is written inside its block"
        return self._opened

    def _open(self) -> None:
        # Truncated: what an earlier process left has no known origin.
        self._opened = self._path.open("wb")

    def _empty(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def _rewrite(self, change: Callable[[Path, Path], bool]) -> None:
        self._file.flush()
        other = self._path.with_name(f"{self._path.name}.new")
        try:
            if change(self._path, other):
                self._file.close()
                other.rename(self._path)
                self._opened = self._path.open("ab")
        finally:
            other.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._into)
        sync_directory(self._into.parent)

    def _discard(self) -> None:
        with suppress(OSError):
            if self._opened is not None:
                self._opened.close()
        for path in (self._path, self._into):
            with suppress(OSError):
                path.unlink()

    async def _on_disk(
        self, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        # To the end, so that no two calls touch the file at once.
        try:
            await to_the_end(call, *args, **kwargs)
        except OSError as exc:
            # Without the path: a staging directory has a new name each time.
            raise DeploymentError(
                f"could not write {self._into.name}: {exc.strerror}", host=True
            ) from exc
