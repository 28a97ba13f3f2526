"""
Images on this host: pulled by digest, verified, kept while needed, removed.

An image that was pulled by digest is "dangling" to engines, and the usual cleaning
takes it. A tag of the application's own keeps it, until it is no longer needed.
"""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from ..artifacts import Progress
from ..config import Reloadable
from ..deploy.release_store import Delivery
from ..deploy.signatures import Keys
from ..deploy.signatures.cosign import PEMKey
from ..deploy.state import Installed, State
from ..deploy.state_store import StateStore
from ..errors import EngineError, ImageMissing, PullDenied, SignatureError
from ..release import Release
from ..remotes import Clients
from ..remotes.oci.client import connect
from ..remotes.oci.credentials import Credentials
from ..remotes.oci.manifest import is_about
from ..remotes.oci.reference import Reference
from .application import DIGEST, Application, reference_of
from .model import Engine, Image
from .options.arguments import RunOptions

__all__ = [
    "FoundImage",
    "ImageStore",
    "ImageVerifier",
    "find_image",
]

log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[Credentials | None]]
Verify = Callable[[Release], Awaitable[None]]
Shown = Callable[[Release], AbstractContextManager[Progress]]


class ImageStore:
    """
    Store that pulls images, and removes those that *application* deployed itself.

    Args:
        credentials: Awaited before every pull, and again after a denial.

        progress: Shows the progress of a pull.

        options: Options of the operator in use, one of which is the platform.

        verify: Awaited before a release is brought; raises if it must not be.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        state_store: StateStore,
        credentials: Ask,
        progress: Shown,
        options: Reloadable[RunOptions],
        verify: Verify | None = None,
    ) -> None:
        self._engine = engine
        self._application = application
        self._state_store = state_store
        self._credentials = credentials
        self._progress = progress
        self._options = options
        self._verify = verify
        self._known: dict[str, FoundImage] = {}

    @asynccontextmanager
    async def brought(self, release: Release) -> AsyncIterator[Delivery]:
        if self._verify is not None:
            await self._verify(release)
        await self._pull(release)
        yield _Pulled(release)

    async def has(self, installed: Installed) -> bool:
        # A missing image can be pulled again: nothing has to be deployed anew.
        return True

    async def keep(self, installed: Installed) -> FoundImage | None:
        """
        Return *installed*'s image, tagged so that it is kept from now on; None if it
        is not on this host.

        Raises:
            EngineError: the engine does not answer.
        """
        return await self._keep(installed.identity)

    async def ensure(self, installed: Installed) -> FoundImage:
        """
        Return *installed*'s image, pulled if it is not on this host, as `keep` does.

        Raises:
            EngineError: the image is not on this host and could not be pulled.
        """
        url = f"img://{self._application.repository}:{installed.tag}"
        return await self._pull(Release(installed.tag, url, installed.identity))

    async def get(self, installed: Installed) -> FoundImage:
        """
        Return *installed*'s image as it was found last, or else as `ensure` does.

        Whoever uses it may find that it has been removed since.
        """
        return self._known.get(installed.identity) or await self.ensure(installed)

    async def retain(self, state: State, *, cached: bool) -> None:
        kept = {each.identity for each in state.installed}
        self._known = {each: self._known[each] for each in kept & self._known.keys()}
        try:
            for digest in kept:
                await self._keep(digest)
            await self._untag(kept)
        except EngineError as exc:
            log.warning("Image not removed", extra={"error": str(exc)})
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

    async def _pull(self, release: Release) -> FoundImage:
        if found := await self._keep(release.identity):
            return found
        reference = self._reference(release.identity)
        # Written first: an image that is pulled and never runs is to be removed as
        # well.
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
        if found := await self._keep(release.identity):
            return found
        raise ImageMissing(f"{reference} was removed as soon as it was pulled")

    async def _fetch(self, reference: str, progress: Progress) -> None:
        found = await self._credentials()
        shown = None if found is None or found.anonymous else found
        try:
            platform = self._options.current.platform
            await self._engine.pull(reference, shown, progress, platform)
        except PullDenied as exc:
            if found is None or not found.failures:
                raise
            raise PullDenied("; ".join((str(exc), *found.failures))) from exc

    async def _keep(self, digest: str) -> FoundImage | None:
        """
        Return the image with the application's own tag; None if it is missing.
        """
        found = await self.find(digest)
        if found is None:
            self._known.pop(digest, None)
            return None
        tag = self._application.image_tag(digest)
        if tag not in found.image.tags:
            try:
                await self._engine.tag_image(found.image.id, tag)
            except ImageMissing:
                return None
        self._known[digest] = found
        return found

    async def find(self, digest: str) -> FoundImage | None:
        """
        Return the image of *digest*, also by its id where its last container is gone.

        None if it is missing. Nothing is written.
        """
        found = await find_image(self._engine, self._application, digest)
        if found is not None or digest not in self._known:
            return found
        image = await self._engine.image(self._known[digest].image.id)
        return FoundImage(image.id, image) if image else None

    async def _untag(self, kept: Collection[str]) -> None:
        """Remove the application's own tags from all images but those in *kept*."""
        repository = self._application.image_repository
        wanted = {self._application.image_tag(digest) for digest in kept}
        for image in await self._engine.images(repository):
            for tag in image.tags:
                if tag.startswith(f"{repository}:") and tag not in wanted:
                    await self._engine.remove_image(tag)

    async def _remove(self, digest: str) -> bool:
        """
        Remove the reference an image was pulled by; return whether it is gone.

        It stays as long as the image has a tag, of another application or a user.
        """
        reference = self._reference(digest)
        try:
            image = await self._engine.image(reference)
            if image is None:
                return True
            removed = not image.tags and await self._engine.remove_image(reference)
        except EngineError as exc:
            log.warning("Image not removed", extra={"error": str(exc)})
            return False
        if removed:
            log.info("Removed image", extra={"image": reference})
        return removed

    def _reference(self, digest: str) -> str:
        return reference_of(self._application.repository, digest)


@dataclass(frozen=True, slots=True)
class FoundImage:
    """
    An image on this host.

    Attributes:
        reference: Reference known to the engine: by digest, or the id where that
            reference was removed.
    """

    reference: str
    image: Image


async def find_image(
    engine: Engine, application: Application, digest: str
) -> FoundImage | None:
    """
    Return the image of *digest* by any reference left; None if there is none.

    Pruning removes references: an image that a registry cannot provide at the moment is
    found by the application's own tag, or by the containers created from it.

    Raises:
        EngineError: the engine does not answer.
    """
    reference = reference_of(application.repository, digest)
    if image := await engine.image(reference):
        return FoundImage(reference, image)
    if image := await engine.image(application.image_tag(digest)):
        return FoundImage(image.id, image)
    for container in await engine.containers(application.selector):
        if container.labels.get(DIGEST) != digest or not application.owns(container):
            continue
        if image := await engine.image(container.image_id):
            return FoundImage(image.id, image)
    return None


class _Pulled:
    """Image that is on this host, with nothing left to install."""

    def __init__(self, release: Release) -> None:
        self._release = release

    async def reserve(self, now: float) -> Installed:
        return Installed(self._release.tag, self._release.identity, "", now)

    async def install(self, target: Installed) -> None:
        """Do nothing: an image is started as it is."""


PAYLOAD_LIMIT = 64 * 1024
"""Bytes that a signed payload may have."""


class ImageVerifier:
    """Verifier of images of *reference*, of which one of *keys* must have signed."""

    def __init__(self, keys: Keys, reference: Reference, clients: Clients) -> None:
        self._keys = keys
        self._reference = reference
        self._clients = clients

    async def verify(self, release: Release) -> None:
        """
        Verify that the image of *release*, by its digest, is signed.

        Raises:
            SignatureError: there is no signature, or none that verifies.
            RemoteError: the registry did not hand the signatures out.
            DeploymentError: the keys cannot be read.
        """
        keys = [each for each in await self._keys() if isinstance(each, PEMKey)]
        registry, reference = await connect(self._clients), self._reference
        name, digest = reference.tagged(release.tag), release.identity
        found = await registry.signatures(reference, digest)
        if not found:
            raise SignatureError(
                f"{name} has no signature; cosign sign {reference.pull_name(digest)}"
            )
        for each in found:
            payload = await registry.blob(reference, each.payload, PAYLOAD_LIMIT)
            if is_about(payload, digest) and _signed(keys, payload, each.signature):
                log.debug("Verified signature", extra={"image": name})
                return
        raise SignatureError(
            f"signature of {name} does not verify: none beside {digest} is by a key "
            "of --verify-signature"
        )


def _signed(keys: Sequence[PEMKey], payload: bytes, signature: bytes) -> bool:
    return any(key.has_signed(payload, signature) for key in keys)
