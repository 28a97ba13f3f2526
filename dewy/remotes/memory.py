"""Releases in the memory of this process: the remote behind `mem://NAME`."""

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
        files: The contents of the artifact and its companions, by file name.

        revision: The number of this publication in its store: a tag published again
            gets a new one.

        at: The time of publication.

        digest: The digest that the store states, `sha256:…`, or "".
    """

    files: Mapping[str, bytes]
    revision: int
    at: datetime
    digest: str = ""


class MemoryStore:
    """
    A store of releases for tests and demos, which lives as long as the process.

    Attributes:
        releases: The published releases, by tag, oldest first.

        reports: The reported deployments, oldest first.
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
        """Return the store called *name*, created on first use."""
        return cls._named.setdefault(name, cls(name))

    def publish(
        self,
        tag: str,
        files: Mapping[str, bytes],
        *,
        at: datetime | None = None,
        digest: str = "",
    ) -> None:
        """Publish *tag*, replacing an earlier publication."""
        self._revision += 1
        self.releases[tag] = Publication(
            dict(files), self._revision, at or datetime.now(UTC), digest
        )

    def withdraw(self, tag: str) -> None:
        """Withdraw *tag*, if it is published."""
        self.releases.pop(tag, None)

    def fail(self, call: Call, *errors: Exception) -> None:
        """Let the next calls of this kind raise *errors*, one each."""
        self._faults.setdefault(call, deque()).extend(errors)

    def attempt(self, call: Call) -> None:
        """Raise the next error that `fail` has set for *call*, if any."""
        if faults := self._faults.get(call):
            raise faults.popleft()

    def published(self, tag: str) -> Publication:
        """
        Return the publication of *tag*.

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
