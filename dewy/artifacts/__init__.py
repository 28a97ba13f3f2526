"""Artifact stores: the sources of the files of releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..release import Release
from ..remotes import Clients
from ..schemes import Implementation, Schemes

__all__ = ["ARTIFACTS", "Artifacts", "Progress"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes written so far, and the total or None if it is unknown."""


class Artifacts(Protocol):
    """An artifact store."""

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        """
        Stream the artifact to *into*, which must not exist.

        A download resumes where its connection broke. After an error nothing is left at
        *into*.

        Raises:
            RemoteError: the store did not deliver the whole artifact.
            DeploymentError: the file could not be written.
        """
        ...

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        """
        Return the small file *name* published beside the artifact.

        Raises:
            Missing: there is no such file, as far as the store tells.
            RemoteError: the file cannot be read, or is larger than *limit* bytes.
        """
        ...


ARTIFACTS: Schemes[[Clients], Artifacts] = Schemes(
    "artifact",
    {
        "file": Implementation("dewy.artifacts.file:FileArtifacts"),
        "mem": Implementation("dewy.artifacts.memory:MemoryArtifacts"),
        "ghr": Implementation("dewy.artifacts.github:GitHubArtifacts"),
        "http": Implementation("dewy.artifacts.http:HTTPArtifacts"),
        "https": Implementation("dewy.artifacts.http:HTTPArtifacts"),
        "s3": Implementation("dewy.artifacts.s3:S3Artifacts", "s3"),
        "gs": Implementation("dewy.artifacts.gs:GSArtifacts", "gcs"),
    },
)
