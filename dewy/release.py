"""The words every part of dewy shares: a release, and one attempt to deploy it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from posixpath import basename
from urllib.parse import unquote, urlsplit

_AUDIT = re.compile(r"shipped_to_.+_at_\d{8}T\d{6}\.\d{1,9}Z\.txt", re.ASCII)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A candidate that was passed over, and why (a phrase, for people)."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """
    A version with its artifact, as a registry tells it.

    Attributes:
        tag: The version as published, unchanged.

        artifact_url: The artifact's address; its scheme selects the artifact store.

        identity: Differs whenever the bytes behind the tag do: a published
            digest (`sha256:…`), else asset id, size and time of change.

        id: The registry's own name for this answer.

        size: Bytes, where the registry tells.

        digest: `sha256:<hex>` of the artifact as its store states it, or "".

        created_at: The time of publication, or None.

        slot: The blue/green slot in the tag, or "".

        files: Names published beside the artifact (checksums among them); None where
            the registry does not list them.

        refused: The candidates this one was preferred to.
    """

    tag: str
    artifact_url: str
    identity: str
    id: str = ""
    size: int | None = None
    digest: str = ""
    created_at: datetime | None = None
    slot: str = ""
    files: tuple[str, ...] | None = None
    refused: tuple[Refusal, ...] = field(default=(), compare=False)

    @property
    def file(self) -> str:
        """
        The artifact's file name: one path segment, whatever the URL says.

        `artifact` where the URL names no file.
        """
        name = basename(unquote(urlsplit(self.artifact_url).path))
        return "artifact" if name in {"", ".", ".."} or "\0" in name else name


@dataclass(frozen=True, slots=True)
class Deployment:
    """
    An attempt to bring a release up, as reported to its registry.

    Attributes:
        release: The release that was deployed.

        command: `server`, `assets` or `container`.

        at: The end of the deployment (aware, UTC).

        nanoseconds: The fraction of that second, which `datetime` cannot hold.

        host: The name of this host, lower case.

    Registries hold these records under the names the original gave them.
    """

    release: Release
    command: str
    at: datetime
    nanoseconds: int
    host: str

    @property
    def audit_name(self) -> str:
        """The file name under which a registry records it."""
        return self.audit_text.replace(" ", "_") + ".txt"

    @property
    def audit_text(self) -> str:
        """The record's body, for registries that store one."""
        stamp = f"{self.at.astimezone(UTC):%Y%m%dT%H%M%S}.{self.nanoseconds:09d}Z"
        return f"shipped to {self.host} {self.command} at {stamp}"


def is_audit_name(name: str) -> bool:
    """Return whether *name* is that of a deployment's record, and so no artifact."""
    return _AUDIT.fullmatch(name) is not None
