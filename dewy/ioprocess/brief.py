"""Looks at files that are needed once in a while, as those with credentials."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from .mounts import may_hang
from .process import IOProcess

__all__ = ["PATIENCE", "look"]

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
