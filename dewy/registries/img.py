"""An image repository as a registry: `img://HOST/REPOSITORY`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import SplitResult

from .. import urls
from ..errors import NoRelease, OddAnswer
from ..files import write_atomically
from ..release import Deployment, Release, is_audit_name
from ..remotes import Clients, local
from ..remotes.oci.client import connect
from ..remotes.oci.manifest import Manifest
from ..remotes.oci.reference import Reference
from ..versions import Selection, Version
from .candidates import COMMON, Candidates, Options, newest

FILE_OPTIONS = {"artifact", "strip"}
ALLOWED = {
    **{name: default for name, default in COMMON.items() if name not in FILE_OPTIONS},
    "insecure": "",
}

KEPT = 1000
"""Maximum of reports kept on this host; older ones are deleted."""


class ImageRegistry:
    """
    A registry of the tags of an image repository.

    A poll costs a listing of the tags, and a HEAD for the newest tag, which may have
    been pushed again. Of an index the manifest is fetched too, once for each digest, to
    check that it holds an image for this host's platform.

    Raises:
        ConfigError: the URL or an option is invalid.
    """

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        self._options = Options.read(url, selection, ALLOWED, dashed_slot=True)
        self.reference = repository_of(url)
        self._reports = selection.reports
        self._clients = clients

    def __repr__(self) -> str:
        return f"<ImageRegistry {self.reference}>"

    async def current(self, tag: str | None = None) -> Release:
        if tag is None:
            return await newest(await self.candidates())
        manifest = await (await connect(self._clients)).stands_for(self.reference, tag)
        names = [tag] if manifest else []
        version = self._options.named(names, str(self.reference), tag)
        return await self._release(version, manifest)

    async def candidates(self) -> Candidates:
        """
        Return the tags, newest version first; details cost a HEAD each.

        Raises:
            RemoteError: the request to the registry failed.
        """
        registry = await connect(self._clients)
        return self.arrange(await registry.tags(self.reference))

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Return the candidates among *names*; details cost a HEAD each."""
        return self._options.candidates(names, str(self.reference), self._details)

    async def report(self, deployment: Deployment) -> None:
        """
        Write the report on this host, since an image registry takes none.

        Raises:
            RemoteError: the report could not be written.
        """
        if self._reports is not None:
            await asyncio.to_thread(_record, self._reports, deployment)

    async def _details(self, version: Version) -> Release:
        registry = await connect(self._clients)
        try:
            manifest = await registry.stands_for(self.reference, version.tag)
        except OddAnswer as exc:
            raise NoRelease(str(exc)) from exc
        return await self._release(version, manifest)

    async def _release(self, version: Version, manifest: Manifest | None) -> Release:
        where = f"{self.reference}"
        if manifest is None:
            raise NoRelease(
                f"{where} lists {version.tag}, but its manifest is gone: deleted, or "
                "never pushed"
            )
        if manifest.is_index:
            await self._require_platform(version, manifest)
        return Release(
            tag=version.tag,
            artifact_url=f"img://{self.reference.tagged(version.tag)}",
            identity=manifest.digest,
            id=manifest.digest,
            digest=manifest.digest,
            slot=version.slot,
        )

    async def _require_platform(self, version: Version, manifest: Manifest) -> None:
        wanted = self._options.selection.image_platform
        registry = await connect(self._clients)
        platforms = await registry.platforms(self.reference, manifest)
        if wanted and platforms and not any(map(wanted.runs, platforms)):
            held = ", ".join(dict.fromkeys(map(str, platforms)))
            raise NoRelease(
                f"{self.reference.tagged(version.tag)} holds no image for {wanted},"
                f" but for {held}"
            )


def repository_of(url: SplitResult) -> Reference:
    """
    Return the repository that *url* names, with its option `insecure`.

    Raises:
        ConfigError: the URL or an option is invalid.
    """
    insecure = urls.options(url, ALLOWED)["insecure"]
    return Reference.of(
        url, insecure=urls.boolean("insecure", insecure) if insecure else None
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
    # Names end with the time; the part before it differs by host.
    records.sort(key=lambda path: path.name.rpartition("_at_")[2], reverse=True)
    for path in records[KEPT:]:
        path.unlink(missing_ok=True)
