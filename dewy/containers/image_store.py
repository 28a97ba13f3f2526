"""Images on this host: pulled by digest, kept while they may be needed, removed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace

from ..artifacts import Progress
from ..deploy.release_store import Delivery
from ..deploy.state import Installed, State
from ..deploy.state_store import StateStore
from ..errors import EngineError, PullDenied
from ..release import Release
from ..remotes.oci.credentials import Credentials
from .application import Application, reference_of
from .model import Engine

__all__ = ["ImageStore"]

log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[Credentials | None]]
Shown = Callable[[Release], AbstractContextManager[Progress]]


class ImageStore:
    """
    Has images pulled, and removes those that *application* deployed itself.

    Args:
        credentials: Asked before every pull, and again when one was denied.

        progress: Shows how far a pull is.

    Attributes:
        platform: What images are wanted for; "" for this host's own.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        state_store: StateStore,
        credentials: Ask,
        progress: Shown,
    ) -> None:
        self._engine = engine
        self._application = application
        self._state_store = state_store
        self._credentials = credentials
        self._progress = progress
        self.platform = ""

    @asynccontextmanager
    async def brought(self, release: Release) -> AsyncIterator[Delivery]:
        await self._pull(release)
        yield _Pulled(release)

    async def has(self, installed: Installed) -> bool:
        # What is not there can be pulled again: nothing has to be deployed anew.
        return True

    async def ensure(self, installed: Installed) -> None:
        """
        Have the image of *installed* on this host.

        Raises:
            EngineError: it is not there and could not be pulled.
        """
        if await self._engine.image(self._reference(installed.identity)) is None:
            url = f"img://{self._application.repository}:{installed.tag}"
            await self._pull(Release(installed.tag, url, installed.identity))

    async def retain(self, state: State, *, cached: bool) -> None:
        kept = {each.identity for each in state.installed}
        stuck = [
            digest
            for digest in state.pulled
            if digest not in kept and not await self._remove(digest)
        ]
        still = kept.union(stuck)
        await self._state_store.note(
            lambda state: replace(
                state, pulled=tuple(each for each in state.pulled if each in still)
            )
        )

    def describe(self, installed: Installed) -> Mapping[str, str]:
        return {"DEWY_IMAGE": self._reference(installed.identity)}

    async def _pull(self, release: Release) -> None:
        reference = self._reference(release.identity)
        if await self._engine.image(reference) is not None:
            return
        # Written first: what is pulled and never runs is to be removed as well.
        await self._state_store.note(
            lambda state: replace(
                state, pulled=tuple(dict.fromkeys((*state.pulled, release.identity)))
            )
        )
        log.info("Pulling image", extra={"image": reference, "tag": release.tag})
        with self._progress(release) as progress:
            try:
                await self._fetch(reference, progress)
            except PullDenied:
                # A token may have expired since it was looked up.
                await self._fetch(reference, progress)

    async def _fetch(self, reference: str, progress: Progress) -> None:
        credentials = await self._credentials()
        await self._engine.pull(reference, credentials, progress, self.platform)

    async def _remove(self, digest: str) -> bool:
        """Whether nothing is left to remove."""
        reference = self._reference(digest)
        try:
            if await self._engine.image(reference) is None:
                return True
            removed = await self._engine.remove_image(reference)
        except EngineError as exc:
            log.warning("Image not removed", extra={"error": str(exc)})
            return False
        if removed:
            log.info("Removed image", extra={"image": reference})
        return removed

    def _reference(self, digest: str) -> str:
        return reference_of(self._application.repository, digest)


class _Pulled:
    """An image that is on this host: nothing is left to install."""

    def __init__(self, release: Release) -> None:
        self._release = release

    async def reserve(self, now: float) -> Installed:
        return Installed(self._release.tag, self._release.identity, "", now)

    async def install(self, target: Installed) -> None:
        """Nothing: an image is started as it is."""
