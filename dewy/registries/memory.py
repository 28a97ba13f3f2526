"""A registry in this process's memory."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import SplitResult, quote

from ..release import Deployment, Release
from ..remotes import Clients
from ..remotes.memory import MemoryStore
from ..versions import Selection, Version
from .candidates import Candidates, Options, newest


class MemoryRegistry:
    """A registry of the releases in the `MemoryStore` of `mem://NAME`."""

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        self.store = MemoryStore.named(url.netloc)
        self._where = f"mem://{url.netloc}"
        self._options = Options.read(url, selection)

    def __repr__(self) -> str:
        return f"<MemoryRegistry {self._where}>"

    async def current(self, tag: str | None = None) -> Release:
        if tag is None:
            return await newest(await self.candidates())
        self.store.attempt("current")
        return self._release(self._options.named(self.store.releases, self._where, tag))

    async def candidates(self) -> Candidates:
        self.store.attempt("current")
        return self.arrange(self.store.releases)

    def arrange(self, names: Iterable[str]) -> Candidates:
        async def details(version: Version) -> Release:
            return self._release(version)

        return self._options.candidates(names, self._where, details, costly=False)

    def _release(self, version: Version) -> Release:
        published = self.store.published(version.tag)
        file, beside = self._options.file(
            published.files, f"{version.tag} in {self._where}", published.at, version
        )
        return Release(
            tag=version.tag,
            artifact_url="/".join(
                [self._where, quote(version.tag, safe=""), quote(file, safe="")]
            ),
            identity=published.digest or f"mem:{published.revision}",
            id=str(published.revision),
            size=len(published.files[file]),
            digest=published.digest,
            created_at=published.at,
            slot=version.slot,
            files=tuple(sorted(name for name in published.files if name != file)),
            refused=beside,
        )

    async def report(self, deployment: Deployment) -> None:
        self.store.attempt("report")
        # Raises if the release is gone: a report must not bring it back.
        self.store.published(deployment.release.tag)
        self.store.reports.append(deployment)
