"""
A directory as a registry: `<DIR>/<version>/<artifact>`.

Names that begin with a dot are ignored, so a publisher may build `<DIR>/.v1.2.3` and
rename it. An artifact written in place counts once it has not changed for a while.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

from ..errors import NoRelease, NotYet, RemoteError
from ..files import write_atomically
from ..ioprocess import reading
from ..release import Deployment, Release, is_audit_name
from ..remotes import Clients, local
from ..system import Clock, utc
from ..versions import Selection, Version
from .candidates import Candidates, Options, newest

SETTLED = 2.0
"""Seconds without a change after which an artifact counts as published."""

UNREADABLE = (FileNotFoundError, NotADirectoryError, PermissionError)
"""Errors of one version's directory, which say nothing about other versions."""


@dataclass(frozen=True, slots=True)
class Look:
    """The identity of an artifact, and the monotonic time when it was first seen."""

    identity: str
    since: float


class FileRegistry:
    """A registry in a directory; reports are written beside the artifacts."""

    def __init__(
        self,
        url: SplitResult,
        selection: Selection,
        clients: Clients,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.directory = local.path(url)
        self._absolute = self.directory.absolute()
        self._clients = clients
        self._options = Options.read(url, selection)
        self._clock = clock or Clock()
        self._looks: dict[Path, Look] = {}

    def __repr__(self) -> str:
        return f"<FileRegistry {self.directory}>"

    async def current(self, tag: str | None = None) -> Release:
        if tag is None:
            return await newest(await self.candidates())
        names = await self._versions()
        return await self._details(self._options.named(names, str(self.directory), tag))

    async def candidates(self) -> Candidates:
        return self.arrange(await self._versions())

    def arrange(self, names: Iterable[str]) -> Candidates:
        where = str(self.directory)
        return self._options.candidates(names, where, self._details, costly=False)

    async def report(self, deployment: Deployment) -> None:
        tag = deployment.release.tag
        if "/" in tag or tag.startswith("."):
            raise RemoteError(f"{self.directory} cannot hold a version called {tag!r}")
        path, text = self._absolute / tag / deployment.audit_name, deployment.audit_text
        with local.translated(f"write the report {path}"):
            disk = await local.looking(self._clients, self._absolute)
            await disk.call(write_atomically, path, text.encode(), mode=0o644)

    async def _versions(self) -> list[str]:
        with local.translated(f"read the registry {self.directory}"):
            disk = await local.looking(self._clients, self._absolute)
            return await disk.call(reading.directories, self._absolute)

    async def _details(self, version: Version) -> Release:
        directory = self._absolute / version.tag
        with local.translated(f"read the registry {self.directory}"):
            try:
                return await self._release(version, directory)
            except UNREADABLE as exc:
                reason = exc.strerror or exc
                raise NoRelease(f"{directory} cannot be read: {reason}") from exc

    async def _release(self, version: Version, directory: Path) -> Release:
        disk = await local.looking(self._clients, self._absolute)
        found = await disk.call(reading.files, directory)
        names = [name for name in found if not is_audit_name(name)]
        since = utc((await disk.call(reading.status, directory)).st_mtime)
        file, beside = self._options.file(names, str(directory), since, version)
        stat = await disk.call(reading.status, directory / file)
        self._require_settled(directory / file, stat)
        return Release(
            tag=version.tag,
            artifact_url=(directory / file).as_uri(),
            identity=local.identity(stat),
            id=version.tag,
            size=stat.st_size,
            created_at=utc(stat.st_mtime),
            slot=version.slot,
            files=tuple(name for name in names if name != file),
            refused=beside,
        )

    def _require_settled(self, path: Path, stat: os.stat_result) -> None:
        if not self._settled(path, stat):
            raise NotYet(f"{path} is still being written", settles_in=SETTLED)

    def _settled(self, path: Path, stat: os.stat_result) -> bool:
        # Writing updates both times, but a tool may set mtime to anything: the
        # content last changed at the earlier one. If even that is in the future, a
        # clock is wrong, and only a later look shows whether the file has settled.
        age = self._clock.wall() - min(stat.st_mtime, stat.st_ctime)
        now, identity = self._clock.monotonic(), local.identity(stat)
        before = self._looks.get(path)
        if before is None or before.identity != identity:
            self._looks = {path: Look(identity, now)}
            return before is None and age >= SETTLED
        return age >= SETTLED or now - before.since >= SETTLED
