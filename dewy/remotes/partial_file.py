"""A file that is complete before anyone sees it under its name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, Self

from ..errors import DeploymentError
from ..files import sync_directory

P = ParamSpec("P")


class PartialFile:
    """
    `<into>.part`, written in threads, which becomes *into* when its block ends.

    Where the block ends in an error, or is cancelled, nothing is left under
    either name.

    Raises:
        DeploymentError: the file could not be written; a full disk, for one.
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
        """Forget what was written."""
        await self._on_disk(self._empty)

    async def rewrite(self, change: Callable[[Path, Path], bool]) -> None:
        """
        Put what *change* writes in the place of what was written, if it returns True.

        *change* is given the file as it is, and the path to write to, in a thread.
        """
        await self._on_disk(self._rewrite, change)

    @property
    def _file(self) -> BinaryIO:
        assert self._opened is not None, "a draft is written inside its block"
        return self._opened

    def _open(self) -> None:
        # An earlier process may have left one: its bytes have no known origin.
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
        # Unlike `to_thread` alone this outlives a cancellation of its caller, so
        # that no two calls touch the file at once.
        work = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            if not work.cancelled():
                work.exception()
            raise
        except OSError as exc:
            # A staging directory has another name each time.
            raise DeploymentError(
                f"could not write {self._into.name}: {exc.strerror}", host=True
            ) from exc
