"""A few helper processes for directories that come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from .process import IOProcess

__all__ = ["IOPool"]

MOST = 2


class IOPool:
    """
    Helper processes by directory, of which the last few used are kept.

    Every version may have a directory of its own, so there is no end of them. One
    that is busy, or hangs, is kept: its directory must not cost another one.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._used: dict[Path, IOProcess] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        while self._used:
            await self._used.popitem()[1].close()

    async def get(self, directory: Path) -> IOProcess:
        """Return the process that alone touches what is below *directory*."""
        found = self._used.pop(directory, None) or IOProcess(directory)
        self._used[directory] = found
        spare = [d for d, each in self._used.items() if each.idle and each is not found]
        for old in spare[: max(len(self._used) - self._most, 0)]:
            await self._used.pop(old).close()
        return found
