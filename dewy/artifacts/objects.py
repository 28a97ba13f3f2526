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
    The object that a URL names, and what lies beside it.

    Raises:
        ConfigError: the URL names no object.
    """

    def __init__(self, place: Location, clients: Clients) -> None:
        if not place.path:
            raise ConfigError(f"{place.url('')} names no object")
        self._place = place
        self._clients = clients

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place.url(self._place.path)}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        """
        Stream the object to *into*, going on where a connection broke.

        Raises:
            RemoteError: the object is gone, or the store did not deliver it whole.
            DeploymentError: the file could not be written.
        """
        objects = await self._objects()
        where = self._place.url(self._place.path)
        look = partial(objects.stat, self._place.path)
        stat = await objects.patiently(look)
        if stat is None:
            raise RemoteError(f"{where} is gone")
        if release.size not in (None, stat.size):
            raise RemoteError(
                f"{where} is of {stat.size} bytes where {release.size} were published"
            )
        await objects.download(stat, into, progress)

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        """
        Return the object *name* from the same folder.

        Raises:
            Missing: there is no such object, or it is not for us.
            RemoteError: the object cannot be read, or is larger than *limit* bytes.
        """
        if "/" in name:
            raise RemoteError(f"{name!r} is not the name of a file beside the artifact")
        folder, slash, _ = self._place.path.rpartition("/")
        key = folder + slash + name
        objects = await self._objects()
        try:
            found = await objects.patiently(partial(objects.read, key, limit))
        except Distrusted:
            raise
        except AccessRefused as exc:
            # Who may not list a bucket is not told what it does not hold.
            raise Missing(str(exc)) from exc
        if found is None:
            raise Missing(f"{self._place.url(key)} is not there")
        return found.value

    async def _objects(self) -> Objects:
        return await self._clients.get(
            self._place.name, lambda: Objects.opened(self._place)
        )
