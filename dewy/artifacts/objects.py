"""Artifacts in object stores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..errors import AccessRefused, ConfigError, Distrusted, Missing, RemoteError
from ..release import Release
from ..remotes import Clients
from ..remotes.objects import Location, Objects
from . import Progress


class ObjectArtifacts:
    """
    The object that a URL names, and the objects beside it.

    Raises:
        ConfigError: the URL names no object.
    """

    def __init__(self, location: Location, clients: Clients) -> None:
        if not location.path:
            raise ConfigError(f"{location.url('')} names no object")
        self._location = location
        self._clients = clients

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._location.url(self._location.path)}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        """
        Stream the object to *into*, resuming where a connection broke.

        Raises:
            RemoteError: the object is gone or has another size, or the store did not
                deliver all of it.
            DeploymentError: the file could not be written.
        """
        objects = await self._objects()
        where = self._location.url(self._location.path)
        look = partial(objects.stat, self._location.path)
        stat = await objects.patiently(look)
        if stat is None:
            raise RemoteError(f"{where} is gone")
        if release.size not in (None, stat.size):
            raise RemoteError(
                f"{where} offers {stat.size} bytes where {release.size} were published"
            )
        await objects.download(stat, into, progress)

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        """
        Return the object *name* from the same folder.

        Raises:
            Missing: there is no such object, or access to it is refused.
            RemoteError: the object cannot be read, or is larger than *limit* bytes.
        """
        if "/" in name:
            raise RemoteError(f"{name!r} is not the name of a file beside the artifact")
        folder, slash, _ = self._location.path.rpartition("/")
        key = folder + slash + name
        objects = await self._objects()
        try:
            found = await objects.patiently(partial(objects.read, key, limit))
        except Distrusted:
            raise
        except AccessRefused as exc:
            # Without permission to list, an absent object is refused, too.
            raise Missing(str(exc)) from exc
        if found is None:
            raise Missing(f"{self._location.url(key)} is not there")
        return found.value

    async def _objects(self) -> Objects:
        return await self._clients.get(
            self._location.name, lambda: Objects.opened(self._location)
        )
