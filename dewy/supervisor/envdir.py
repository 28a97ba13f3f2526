"""Variables from ENVDIR and from `--env-file`, read anew for each generation."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config.env_file import read_env_file
from ..errors import ConfigError
from ..ioprocess.process import IOProcess
from ..logs import summary
from .environment import read_envdir

__all__ = ["EnvDir", "EnvFiles"]

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


class EnvFiles:
    """
    Reader of files of variables, the later ones on top, as `EnvDir` is of directories.

    Args:
        paths: The files, below *root* where they are relative.
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self._disks = {root / path: IOProcess((root / path).parent) for path in paths}
        self._last: dict[Path, Mapping[str, str]] = {}

    async def read(self) -> dict[str, str]:
        """Return the variables; of what cannot be read those of the last time."""
        for path, disk in self._disks.items():
            what, ours = "--env-file", dict(os.environ)
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await disk.call(read_env_file, path, what, ours)
                    self._last[path] = found
            except (ConfigError, OSError, TimeoutError) as exc:
                fields = {"file": str(path), "error": summary(exc)}
                log.warning("Env file not read", extra=fields)
        kept = [self._last.get(path, {}) for path in self._disks]
        return {name: value for each in kept for name, value in each.items()}

    async def close(self) -> None:
        """End the helper processes."""
        for disk in self._disks.values():
            await disk.close()
