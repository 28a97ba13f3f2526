"""Variables from the directory in ENVDIR, read anew for each generation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from ..ioprocess.process import IOProcess
from .environment import read_envdir

__all__ = ["EnvDir"]

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a start waits for the directory."""


class EnvDir:
    """
    Reader of the directory in a helper process, as reading may hang.

    While the directory cannot be read, the variables of the last reading stand.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disk: IOProcess | None = None
        self._last: Mapping[str, str] = {}

    async def read(self, directory: str) -> Mapping[str, str]:
        """
        Return the variables in *directory*, below the root; none if it is "".
        """
        if not directory:
            return {}
        path = self._root / directory
        if self._disk is None or self._disk.directory != path:
            await self.close()
            self._disk = IOProcess(path)
        try:
            async with asyncio.timeout(PATIENCE):
                self._last = await self._disk.call(read_envdir, path)
        except (OSError, TimeoutError) as exc:
            log.warning("ENVDIR not read", extra={"dir": directory, "error": str(exc)})
        return self._last

    async def close(self) -> None:
        """End the helper process."""
        if self._disk is not None:
            await self._disk.close()
