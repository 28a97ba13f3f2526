"""
An object store as a registry: `<PREFIX><version>/<file>`.

A poll lists the versions, and then the files of the one that is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from posixpath import split

from ..errors import RemoteError
from ..release import Deployment, Release, is_audit_name
from ..remotes import Clients
from ..remotes.objects import Location, Objects, Stat, prefix
from ..versions import Version
from .candidates import AnswerNames, Candidates, Options, newest


class ObjectRegistry:
    """
    The registry of versions in a bucket; reports are written beside them.

    To be made outside the event loop or in a thread, because it may read files
    with credentials.

    Raises:
        ConfigError: region, bucket or credentials will not do.
    """

    def __init__(self, place: Location, options: Options, clients: Clients) -> None:
        self._place = place
        self._prefix = prefix(place)
        self._options = options
        self._clients = clients
        self._store = place.open()
        self._names = AnswerNames()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._where()}>"

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the newest release for this host, or the one called *tag*.

        Raises:
            NoRelease: the release does not exist, or has no artifact for this host;
                then `since` says when the last of its files came.
            RemoteError: the store did not answer as it should.
        """
        if tag is None:
            return await newest(await self.candidates())
        objects = await self._objects()
        names = await objects.folders(self._prefix)
        return await self._details(self._options.named(names, self._where(), tag))

    async def candidates(self) -> Candidates:
        """
        Return the versions, newest first; each costs a list of its files.

        Raises:
            RemoteError: the store did not answer as it should.
        """
        objects = await self._objects()
        return self.arrange(await objects.folders(self._prefix))

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Put *names* in order; each costs a list of its files."""
        return self._options.candidates(names, self._where(), self._details)

    async def report(self, deployment: Deployment) -> None:
        """
        Put an empty object, whose name tells all, beside the artifact.

        Raises:
            RemoteError: the version is gone, or the store did not take it.
        """
        tag = deployment.release.tag
        objects = await self._objects()
        # Or a report would bring the folder of what was withdrawn back.
        if not await self._holds_files(objects, tag):
            raise RemoteError(f"{self._where(tag)} is gone")
        await objects.put(self._folder(tag) + deployment.audit_name, b"")

    async def _holds_files(self, objects: Objects, tag: str) -> bool:
        folder = self._folder(tag)
        # Thousands of reports may come before the artifact.
        async with aclosing(objects.pages(folder)) as pages:
            async for page in pages:
                if _files(page.objects, folder):
                    return True
        return False

    async def _details(self, version: Version) -> Release:
        objects = await self._objects()
        folder = self._folder(version.tag)
        return self._release(version, _files(await objects.objects(folder), folder))

    def _release(self, version: Version, files: dict[str, Stat]) -> Release:
        where = self._where(version.tag)
        since = max((stat.modified for stat in files.values()), default=None)
        file, beside = self._options.file(files, where, since, version)
        chosen = files[file]
        identity = f"{chosen.version}:{chosen.size}:{chosen.modified.isoformat()}"
        return Release(
            tag=version.tag,
            artifact_url=self._place.url(chosen.key),
            identity=identity,
            id=self._names.name(f"{version.tag} {identity}"),
            size=chosen.size,
            created_at=chosen.modified,
            slot=version.slot,
            files=_beside(file, files),
            refused=beside,
        )

    async def _objects(self) -> Objects:
        return await self._clients.get(
            self._place.name, lambda: Objects.lent(self._store)
        )

    def _folder(self, tag: str) -> str:
        return f"{self._prefix}{tag}/"

    def _where(self, tag: str = "") -> str:
        return self._place.url(self._prefix + tag).rstrip("/")


def _files(found: Iterable[Stat], folder: str) -> dict[str, Stat]:
    """
    Return the files published below *folder*: neither reports nor marks of folders.
    """
    names = {stat.key.removeprefix(folder): stat for stat in found}
    return {
        name: stat
        for name, stat in names.items()
        if name and not name.endswith("/") and not is_audit_name(name)
    }


def _beside(file: str, names: Iterable[str]) -> tuple[str, ...]:
    directory = split(file)[0]
    return tuple(
        split(name)[1] for name in names if split(name)[0] == directory and name != file
    )
