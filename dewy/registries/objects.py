"""
An object store as a registry: `<PREFIX><version>/<file>`.

A poll lists the versions, and then the files of the chosen one.
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
    A registry in a bucket; reports are written beside the artifacts.

    Create it in a thread: it may read files with credentials.

    Raises:
        ConfigError: region, bucket or credentials are invalid.
    """

    def __init__(self, location: Location, options: Options, clients: Clients) -> None:
        self._location = location
        self._prefix = prefix(location)
        self._options = options
        self._clients = clients
        self._store = location.open()
        self._names = AnswerNames()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._where()}>"

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the newest release for this host, or the one called *tag*.

        Raises:
            NoRelease: the release does not exist, or has no artifact for this host;
                then `since` is when its last file was written.
            RemoteError: the request to the store failed.
        """
        if tag is None:
            return await newest(await self.candidates())
        objects = await self._objects()
        names = await objects.folders(self._prefix)
        return await self._details(self._options.named(names, self._where(), tag))

    async def candidates(self) -> Candidates:
        """
        Return the versions, newest first; details cost a listing each.

        Raises:
            RemoteError: the request to the store failed.
        """
        objects = await self._objects()
        return self.arrange(await objects.folders(self._prefix))

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Return the candidates among *names*; details cost a listing each."""
        return self._options.candidates(names, self._where(), self._details)

    async def report(self, deployment: Deployment) -> None:
        """
        Write the report beside the artifact: an empty object, whose name says all.

        Raises:
            RemoteError: the version is gone, or the request to the store failed.
        """
        tag = deployment.release.tag
        objects = await self._objects()
        # A report would bring back the folder of a withdrawn version.
        if not await self._holds_files(objects, tag):
            raise RemoteError(f"{self._where(tag)} is gone")
        await objects.put(self._folder(tag) + deployment.audit_name, b"")

    async def _holds_files(self, objects: Objects, tag: str) -> bool:
        folder = self._folder(tag)
        # By pages: thousands of reports may be listed before the artifact.
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
            artifact_url=self._location.url(chosen.key),
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
            self._location.name, lambda: Objects.lent(self._store)
        )

    def _folder(self, tag: str) -> str:
        return f"{self._prefix}{tag}/"

    def _where(self, tag: str = "") -> str:
        return self._location.url(self._prefix + tag).rstrip("/")


def _files(found: Iterable[Stat], folder: str) -> dict[str, Stat]:
    """Return the files below *folder* by name, without reports and folder markers."""
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
