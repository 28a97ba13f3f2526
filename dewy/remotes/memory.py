"""A remote in this process's memory: what `mem://NAME` is to registry and store."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, Self

from ..errors import Missing, RemoteError
from ..release import Deployment

Call = Literal["current", "report", "fetch", "read"]


@dataclass(frozen=True, slots=True)
class Publication:
    """
    A published version.

    Attributes:
        files: Contents by name: the artifact, and what is beside it.

        revision: Counts publications in this store, so that the same tag
            published again is something else.

        at: The time of publication.

        digest: `sha256:…` that the store states of the artifact, or "".
    """

    files: Mapping[str, bytes]
    revision: int
    at: datetime
    digest: str = ""


class MemoryStore:
    """
    Releases that live as long as this process; tests and demos publish here.

    Attributes:
        releases: The published releases, by tag, oldest first.

        reports: The deployments that were reported, oldest first.
    """

    _named: ClassVar[dict[str, Self]] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.releases: dict[str, Publication] = {}
        self.reports: list[Deployment] = []
        self._revision = 0
        self._faults: dict[Call, deque[Exception]] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore {self.name}: {', '.join(self.releases) or 'empty'}>"

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the one store called *name* in this process, made on first use."""
        return cls._named.setdefault(name, cls(name))

    def publish(
        self,
        tag: str,
        files: Mapping[str, bytes],
        *,
        at: datetime | None = None,
        digest: str = "",
    ) -> None:
        """Publish *tag*, or replace what is published under it."""
        self._revision += 1
        self.releases[tag] = Publication(
            dict(files), self._revision, at or datetime.now(UTC), digest
        )

    def withdraw(self, tag: str) -> None:
        """Take *tag* back; nothing happens if there is none."""
        self.releases.pop(tag, None)

    def fail(self, call: Call, *errors: Exception) -> None:
        """Have the next of these calls raise *errors*, one each."""
        self._faults.setdefault(call, deque()).extend(errors)

    def attempt(self, call: Call) -> None:
        """Raise what `fail` has prepared for this *call*, if anything."""
        if faults := self._faults.get(call):
            raise faults.popleft()

    def published(self, tag: str) -> Publication:
        """
        Return what is published under *tag*.

        Raises:
            RemoteError: *tag* is not published.
        """
        try:
            return self.releases[tag]
        except KeyError:
            raise RemoteError(f"mem://{self.name} holds no {tag}") from None

    def content(self, tag: str, name: str) -> bytes:
        """
        Return the bytes of the file *name* of *tag*.

        Raises:
            Missing: the file does not exist.
            RemoteError: *tag* is not published.
        """
        try:
            return self.published(tag).files[name]
        except KeyError:
            raise Missing(f"{tag} in mem://{self.name} holds no {name}") from None
