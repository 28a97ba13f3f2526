"""The tags of an image as a registry: `img://HOST/REPOSITORY`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import SplitResult

from .. import urls
from ..errors import NoRelease
from ..files import write_atomically
from ..release import Deployment, Refusal, Release, is_audit_name
from ..remotes import Clients, local
from ..remotes.oci.client import OCI, connect
from ..remotes.oci.reference import Reference
from ..versions import Selection, Version
from .options import COMMON, Options

ALLOWED = {
    **{name: default for name, default in COMMON.items() if name != "artifact"},
    "constraint": "",
    "insecure": "",
}

KEPT = 1000
"""Reports on this host; the oldest of more are removed."""


class ImageRegistry:
    """
    The tags of one repository; each stands for an image until it is pushed anew.

    A poll costs one listing of the tags and one HEAD: the newest tag is asked for
    every time, for it may have been pushed again.

    Raises:
        ConfigError: the URL or its options will not do.
    """

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        self._options = Options.read(url, selection, ALLOWED, dashed_slot=True)
        insecure = urls.options(url, ALLOWED)["insecure"]
        self.reference = Reference.of(
            url, insecure=urls.boolean("insecure", insecure) if insecure else None
        )
        self._reports = selection.reports
        self._clients = clients

    def __repr__(self) -> str:
        return f"<ImageRegistry {self.reference}>"

    async def current(self, tag: str | None = None) -> Release:
        registry = await connect(self._clients)
        listed, digest = await self._listed(registry, tag)
        version, refused = self._options.version(listed, str(self.reference), tag)
        digest = digest or await registry.digest(self.reference, version.tag)
        if digest is None:
            raise NoRelease(
                f"{self.reference} lists {version.tag}, and does not hold it", refused
            )
        return self._release(version, digest, refused)

    async def report(self, deployment: Deployment) -> None:
        """
        Write the record on this host: an image registry takes none.

        Raises:
            RemoteError: it could not be written.
        """
        if self._reports is not None:
            await asyncio.to_thread(_record, self._reports, deployment)

    async def _listed(
        self, registry: OCI, tag: str | None
    ) -> tuple[list[str], str | None]:
        """The tags to choose from; and of the one asked for what it stands for."""
        if tag is None:
            return [*await registry.tags(self.reference)], None
        digest = await registry.digest(self.reference, tag)
        return ([tag] if digest else []), digest

    def _release(
        self, version: Version, digest: str, refused: tuple[Refusal, ...]
    ) -> Release:
        return Release(
            tag=version.tag,
            artifact_url=f"img://{self.reference.tagged(version.tag)}",
            identity=digest,
            id=digest,
            digest=digest,
            slot=version.slot,
            refused=refused,
        )


def _record(directory: Path, deployment: Deployment) -> None:
    path = directory / deployment.audit_name
    release = deployment.release
    text = f"{deployment.audit_text}\n{release.artifact_url} {release.digest}\n"
    with local.translated(f"write the report {path}"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        _prune(directory)


def _prune(directory: Path) -> None:
    records = [path for path in directory.iterdir() if is_audit_name(path.name)]
    # The end of a name is when it was; what stands before differs by host.
    records.sort(key=lambda path: path.name.rpartition("_at_")[2], reverse=True)
    for path in records[KEPT:]:
        path.unlink(missing_ok=True)
