"""The images of an engine, and the progress of a pull."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, cast

import aiodocker

from ...errors import EngineError
from ...remotes.oci.credentials import Credentials
from ..model import Image, Pulling
from . import decode
from .client import EngineClient
from .errors import in_use

ASKED_AGAIN = 3

T = TypeVar("T")


async def image(wire: EngineClient, reference: str) -> Image | None:
    """See `Engine.image`."""
    async with wire.asking(f"look at image {reference}"):
        try:
            return decode.image(
                await _undisturbed(lambda: _shown(wire, reference), {500})
            )
        except aiodocker.DockerError as exc:
            if exc.status == 404:
                return None
            raise


async def _shown(wire: EngineClient, reference: str) -> dict[str, Any]:
    """Return an image's inspection; only Podman's own API includes the HEALTHCHECK."""
    shown = await wire.docker.images.inspect(reference)
    if not wire.libpod:
        return shown
    _, own = await wire.json(f"images/{reference}/json", wire.libpod)
    return {**shown, "Healthcheck": own.get("Healthcheck")}


async def images(wire: EngineClient, repository: str) -> list[Image]:
    """See `Engine.images`."""
    wanted = decode.repository(repository)
    # Without a name Podman examines every image there is, for seconds. Names with the
    # same ending may be listed, too.
    named = {"reference": [decode.familiar(repository)]}
    limit = wire.deadlines.change
    async with wire.asking(f"list the images of {repository}", limit):
        listed = await _undisturbed(
            lambda: wire.docker.images.list(filters=named), {404, 500}
        )
        mine = {entry["Id"] for entry in listed if wanted in _repositories(entry)}
    found = await asyncio.gather(*(image(wire, name) for name in sorted(mine)))
    return [one for one in found if one is not None]


async def _undisturbed(ask: Callable[[], Awaitable[T]], stumbles: set[int]) -> T:
    """
    Return the engine's answer to *ask*, asking again if need be.

    Podman goes through all images and fails on one that is removed meanwhile.
    """
    for _ in range(ASKED_AGAIN):
        try:
            return await ask()
        except aiodocker.DockerError as exc:
            if exc.status not in stumbles:
                raise
    return await ask()


def _repositories(entry: dict[str, Any]) -> set[str]:
    names = [*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ())]
    return {decode.repository(name) for name in names}


async def pull(
    wire: EngineClient,
    reference: str,
    credentials: Credentials | None,
    progress: Pulling,
    platform: str = "",
) -> None:
    """See `Engine.pull`."""
    silence = wire.deadlines.silence
    secrets = [credentials.password, credentials.token] if credentials else []
    layers, loop = Layers(), asyncio.get_running_loop()
    stream = wire.docker.images.pull(
        reference,
        auth=shown_to(reference, credentials),
        stream=True,
        platform=platform or None,
    )
    doing = f"pull {reference}"
    async with (
        wire.asking(doing, silence, secrets=secrets, pulling=True) as timer,
        aclosing(cast("AsyncGenerator[dict[str, Any]]", stream)) as items,
    ):
        async for item in items:
            timer.reschedule(loop.time() + silence)
            if layers.feed(item):
                progress(layers.done, layers.total)
    # A stream that breaks off ends like one that is complete.
    if await image(wire, reference) is None:
        raise EngineError(f"{wire.title} could not {doing}: it broke off")


def shown_to(reference: str, credentials: Credentials | None) -> dict[str, str] | None:
    """
    Return the credentials that the engine presents to the registry of *reference*.
    """
    if credentials is None:
        return None
    host = decode.repository(reference).partition("/")[0]
    if credentials.token:
        return {"identitytoken": credentials.token, "serveraddress": host}
    return {
        "username": credentials.username,
        "password": credentials.password,
        "serveraddress": host,
    }


async def tag(wire: EngineClient, name: str, tagged: str) -> None:
    """See `Engine.tag_image`."""
    repository, _, word = tagged.rpartition(":")
    async with wire.asking(f"tag image {name}", wire.deadlines.change):
        await wire.docker.images.tag(name, repository, tag=word)


async def remove(wire: EngineClient, reference: str) -> bool:
    """See `Engine.remove_image`."""
    found = await image(wire, reference)
    if found is None:
        return True
    # Podman takes the name off an image in use, where Docker refuses.
    if found.id in await _used(wire):
        return False
    async with wire.asking(f"remove image {reference}", wire.deadlines.change):
        try:
            await wire.docker.images.delete(reference)
        except aiodocker.DockerError as exc:
            if in_use(exc.status, exc.message):
                return False
            if exc.status != 404:
                raise
    return True


async def _used(wire: EngineClient) -> set[str]:
    """Return the ids of the images that containers in any state were created from."""
    async with wire.asking("list containers"):
        listed = await wire.containers()
        return {decode.digest(str(entry["ImageID"])) for entry in listed}


COMPLETE = frozenset({"Already exists", "Download complete", "Pull complete"})
LAYER = COMPLETE | {"Pulling fs layer", "Waiting", "Downloading", "Extracting"}


class Layers:
    """Layers of one pull; both engines report them in Docker's terms."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._size: dict[str, int | None] = {}

    def __repr__(self) -> str:
        return f"<Layers {self.done} of {self.total}>"

    @property
    def done(self) -> int:
        """Bytes pulled so far; never fewer than before."""
        return sum(self._done.values())

    @property
    def total(self) -> int | None:
        """Bytes in total; None while a layer's size is unknown."""
        sizes = list(self._size.values())
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None

    def feed(self, item: Mapping[str, Any]) -> bool:
        """
        Process a line of the engine's output; return whether the progress changed.
        """
        name, status = item.get("id"), item.get("status")
        if not isinstance(name, str) or status not in LAYER:
            return False
        before = self.done, self.total
        self._size.setdefault(name, None)
        detail = item.get("progressDetail") or {}
        if status == "Downloading":
            self._advance(name, detail.get("current") or 0, detail.get("total") or 0)
        elif status in COMPLETE:
            size = self._size[name] or self._done.get(name, 0)
            self._advance(name, size, size)
            self._size[name] = size
        return before != (self.done, self.total)

    def _advance(self, name: str, current: int, size: int) -> None:
        # A layer that is retried starts anew; progress already reported stands.
        self._done[name] = max(self._done.get(name, 0), current)
        if size > 0:
            self._size[name] = max(size, self._done[name])
