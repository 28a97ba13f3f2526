"""A container engine in this process's memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from dewy.containers.engines import decode
from dewy.containers.engines.decode import carries
from dewy.containers.model import (
    Container,
    EngineLimits,
    Event,
    Image,
    LogLine,
    Network,
    Pulling,
)
from dewy.errors import EngineError, ImageMissing, NameTaken
from dewy.remotes.oci.credentials import Credentials
from tests.standins.memory_host import MemoryContainer, MemoryHost

__all__ = ["MemoryEngine"]


class MemoryEngine:
    """
    Implementation of `Engine` whose containers are those of a `MemoryHost`.

    The host outlives the engine: the next engine finds what this one began.

    Attributes:
        runs_healthchecks: Whether the engine runs HEALTHCHECKs itself, as Docker does,
            so that `check_health` has nothing to do.
    """

    def __init__(self, host: MemoryHost, flavour: str = "docker") -> None:
        self.host = host
        self.flavour = flavour
        self.rootless = False
        self.local = True
        self.address = self.identity = f"mem://{host.name}"
        self.runs_healthchecks = True
        self.limits = EngineLimits()

    def __repr__(self) -> str:
        return f"<MemoryEngine {self.address}>"

    @classmethod
    def named(cls, name: str) -> MemoryEngine:
        """Return an engine of the host called *name*."""
        return cls(MemoryHost.named(name))

    async def containers(
        self, labels: Mapping[str, str | None] | None = None
    ) -> list[Container]:
        async with self.host.step("containers", ""):
            every = [held.container for held in self.host.held.values()]
            return [one for one in every if carries(one.labels, labels or {})]

    async def inspect(self, container: str) -> Container | None:
        async with self.host.step("inspect", container):
            held = self.host.find(container)
            return held.container if held else None

    async def create(self, name: str, spec: Mapping[str, Any]) -> str:
        async with self.host.step("create", name):
            if self.host.find(name):
                raise NameTaken(f"another container is called {name}")
            image = self._image(spec["Image"])
            if image is None:
                raise ImageMissing(f"no such image: {spec['Image']}")
            exposed: dict[str, Any] = {f"{port}/tcp": {} for port in image.ports}
            exposed |= spec.get("ExposedPorts") or {}
            whole = {**spec, "ExposedPorts": exposed}
            held = MemoryContainer(self._created(name, spec, image), whole)
            self.host.held[held.container.id] = held
            self.host.tell("create", held)
            return held.container.id

    def _created(self, name: str, spec: Mapping[str, Any], image: Image) -> Container:
        published = self.host.published(image.id)
        return Container(
            id=self.host.new_id(),
            name=name,
            state="created",
            labels={
                **(published.labels if published else {}),
                **(spec.get("Labels") or {}),
            },
            image=spec["Image"],
            image_id=image.id,
            created_at=self.host.now(),
            health="starting" if image.healthcheck else "",
        )

    async def start(self, container: str) -> None:
        async with self.host.step("start", container):
            held = self._held(container)
            if not held.container.running:
                await self.host.start(held)

    async def stop(self, container: str, seconds: float) -> None:
        async with self.host.step("stop", container):
            held = self.host.find(container)
            if held and held.container.running:
                await self.host.stop(held, seconds)

    async def remove(
        self, container: str, *, force: bool = False, keep_volumes: bool = False
    ) -> None:
        async with self.host.step("remove", container):
            held = self.host.find(container)
            if held is None:
                return
            if held.container.running and not force:
                raise EngineError(f"container {container} runs; stop it first")
            await self.host.kill(held.container.id, asked=True)
            if self.host.held.pop(held.container.id, None):
                self.host.tell("destroy", held)

    async def logs(self, container: str, lines: int) -> tuple[str, ...]:
        async with self.host.step("logs", container):
            held = self.host.find(container)
            return tuple(held.output[-lines:]) if held and lines else ()

    async def written(
        self, container: str, lines: int, after: int = 0
    ) -> tuple[LogLine, ...]:
        async with self.host.step("logs", container):
            held = self.host.find(container)
            output = held.output if held else []
            numbered = [LogLine(at, text) for at, text in enumerate(output, 1)]
            return tuple(numbered[after:][-lines:])

    async def check_health(self, container: str) -> bool | None:
        async with self.host.step("check_health", container):
            held = self.host.find(container)
            if self.runs_healthchecks or not (held and held.container.health):
                return None
            return held.container.health == "healthy"

    def _held(self, container: str) -> MemoryContainer:
        held = self.host.find(container)
        if held is None:
            raise EngineError(f"no such container: {container}")
        return held

    async def image(self, reference: str) -> Image | None:
        async with self.host.step("image", reference):
            return self._image(reference)

    def _image(self, reference: str) -> Image | None:
        every = self.host.images.values()
        return next((one for one in every if reference in _names(one)), None)

    async def images(self, repository: str) -> list[Image]:
        async with self.host.step("images", repository):
            wanted = decode.repository(repository)
            return [
                image
                for image in self.host.images.values()
                if wanted in map(decode.repository, (*image.tags, *image.digests))
            ]

    async def pull(
        self,
        reference: str,
        credentials: Credentials | None,
        progress: Pulling,
        platform: str = "",
    ) -> None:
        async with self.host.step("pull", reference):
            published = self.host.registry.get(reference)
            if published is None:
                raise EngineError(f"the registry has no {reference}")
            image = published.image
            tags = () if "@" in reference else (reference,)
            if present := self.host.images.get(image.id):
                tags = tuple(dict.fromkeys((*present.tags, *tags)))
            self._move_tags(tags)
            self.host.images[image.id] = replace(image, tags=tags)
            progress(published.size, published.size)

    def _move_tags(self, tags: tuple[str, ...]) -> None:
        """Remove *tags* from all images, for a tag names only one."""
        for name, image in self.host.images.items():
            left = tuple(tag for tag in image.tags if tag not in tags)
            self.host.images[name] = replace(image, tags=left)

    async def tag_image(self, image: str, tag: str) -> None:
        async with self.host.step("tag_image", tag):
            found = self._image(image)
            if found is None:
                raise ImageMissing(f"no such image: {image}")
            self._move_tags((tag,))
            found = self.host.images[found.id]
            self.host.images[found.id] = replace(found, tags=(*found.tags, tag))

    async def remove_image(self, reference: str) -> bool:
        async with self.host.step("remove_image", reference):
            image = self._image(reference)
            if image is None:
                return True
            if image.id in self._used():
                return False
            left = replace(
                image,
                tags=tuple(each for each in image.tags if each != reference),
                digests=tuple(each for each in image.digests if each != reference),
            )
            if left.tags or (left.digests and left != image):
                self.host.images[image.id] = left
            else:
                del self.host.images[image.id]
            return True

    def _used(self) -> set[str]:
        """Return the ids of the images that containers were created from."""
        return {held.container.image_id for held in self.host.held.values()}

    async def network(self, name: str) -> Network | None:
        async with self.host.step("network", name):
            return self.host.networks.get(name)

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        async with self.host.step("create_network", name):
            self.host.add_network(name, labels)

    async def remove_network(self, name: str) -> bool:
        async with self.host.step("remove_network", name):
            if any(held.network == name for held in self.host.held.values()):
                return False
            return self.host.networks.pop(name, None) is not None

    def events(
        self, labels: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._events(dict(labels))

    @asynccontextmanager
    async def _events(
        self, labels: Mapping[str, str | None]
    ) -> AsyncIterator[AsyncIterator[Event]]:
        events = self.host.follow(labels)
        try:
            yield events
        finally:
            self.host.leave(events)


def _names(image: Image) -> set[str]:
    return {image.id, *image.tags, *image.digests}
