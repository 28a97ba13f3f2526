"""A host with a container engine, in this process's memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, Literal, Protocol, Self

from dewy.containers.engines.decode import carries
from dewy.containers.engines.event_stream import EngineEvents
from dewy.containers.model import Container, Event, Image, Network
from dewy.errors import EngineError

__all__ = [
    "Call",
    "Hook",
    "MemoryApplication",
    "MemoryContainer",
    "MemoryHost",
    "Phase",
    "Published",
    "Run",
]

Call = Literal[
    "containers",
    "inspect",
    "create",
    "start",
    "stop",
    "remove",
    "logs",
    "check_health",
    "image",
    "images",
    "pull",
    "tag_image",
    "remove_image",
    "network",
    "create_network",
    "remove_network",
]
Phase = Literal["before", "after"]
Hook = Callable[[Phase, Call, str], Awaitable[None]]
"""Callback around a call about a container, an image or a network; may raise."""


class MemoryApplication(Protocol):
    """
    Application that runs in a container.

    Attributes:
        published: The port on 127.0.0.1 by the container's port.
    """

    published: Mapping[int, int]

    async def stop(self, seconds: float) -> int:
        """Send the stop signal, wait at most *seconds* and return the exit code."""
        ...

    async def kill(self) -> None:
        """End the application as SIGKILL does."""
        ...


Run = Callable[[Container, Mapping[str, Any]], Awaitable[MemoryApplication]]
"""
Callback that starts the application of a container, which has its addresses already.
"""


@dataclass(frozen=True, slots=True)
class Published:
    """
    An image in the registry.

    Attributes:
        exits: Exit code with which its containers end at once.

        size: Size of its only layer in bytes.
    """

    image: Image
    labels: Mapping[str, str] = field(default_factory=dict)
    exits: int | None = None
    size: int = 1000


@dataclass
class MemoryContainer:
    """Container of the host, with the details that only the host knows."""

    container: Container
    spec: Mapping[str, Any]
    application: MemoryApplication | None = None
    output: list[str] = field(default_factory=list)

    @property
    def network(self) -> str:
        """Name of the container's network."""
        options = self.spec.get("HostConfig") or {}
        return str(options.get("NetworkMode") or "bridge")

    def change(self, **values: Any) -> None:
        """Change the *values* that an inspection shows from now on."""
        self.container = replace(self.container, **values)


BEGINNING = datetime(2031, 1, 1, tzinfo=UTC)
KILLED = 137
TERMINATED = 15


class MemoryHost:
    """
    Containers, images and networks that live as long as this process.

    Freed addresses go to the next container at once, as with real engines.

    Args:
        prefix: Prefix of all addresses, such as `127.77`. Where applications listen at
            them, no other process may use the same prefix.

    Attributes:
        held: The containers, by id.

        images: Images on this host, by id.

        networks: Networks on this host, by name.

        registry: Images that can be pulled, by each of their references.

        run: Starts the applications of containers; without it nothing listens.

        hook: Awaited before and after each call.

        calls: Calls made so far, in order.
    """

    _named: ClassVar[dict[str, Self]] = {}

    def __init__(self, name: str, prefix: str = "127.77") -> None:
        self.name = name
        self.prefix = prefix
        self.held: dict[str, MemoryContainer] = {}
        self.images: dict[str, Image] = {}
        self.networks: dict[str, Network] = {}
        self.registry: dict[str, Published] = {}
        self.run: Run | None = None
        self.hook: Hook | None = None
        self.calls: list[tuple[Call, str]] = []
        self._faults: dict[Call, deque[Exception]] = {}
        self._followers: list[tuple[Mapping[str, str | None], EngineEvents]] = []
        self._numbers = count(1)
        self._ports = count(49152)
        self.add_network("bridge", {})

    def __repr__(self) -> str:
        return f"<MemoryHost {self.name}: {len(self.held)} containers>"

    @classmethod
    def named(cls, name: str, prefix: str = "127.77") -> Self:
        """Return the host called *name* in this process, created on first use."""
        return cls._named.setdefault(name, cls(name, prefix))

    def publish(
        self,
        reference: str,
        *,
        ports: tuple[int, ...] = (8080,),
        labels: Mapping[str, str] | None = None,
        healthcheck: bool = False,
        volumes: tuple[str, ...] = (),
        exits: int | None = None,
    ) -> str:
        """
        Publish an image in the registry under a tag; return its reference by digest.
        """
        number = next(self._numbers)
        repository = reference.rpartition(":")[0]
        by_digest = f"{repository}@{_digest('manifest', number)}"
        image = Image(
            id=_digest("image", number),
            tags=(reference,),
            digests=(by_digest,),
            ports=ports,
            created_at=self.now(),
            healthcheck=healthcheck,
            volumes=volumes,
            platform="linux/amd64",
        )
        published = Published(image, labels or {}, exits)
        self.registry[reference] = self.registry[by_digest] = published
        return by_digest

    def published(self, image_id: str) -> Published | None:
        """Return the published image with that id."""
        images = self.registry.values()
        return next((one for one in images if one.image.id == image_id), None)

    def fail(self, call: Call, *errors: Exception) -> None:
        """Make the next calls of this kind raise *errors*, one each."""
        self._faults.setdefault(call, deque()).extend(errors)

    def attempt(self, call: Call) -> None:
        """Raise what `fail` has prepared for this *call*, if anything."""
        if faults := self._faults.get(call):
            raise faults.popleft()

    @asynccontextmanager
    async def step(self, call: Call, subject: str) -> AsyncIterator[None]:
        """Run the hook and raise the errors of `fail` around a call."""
        self.calls.append((call, subject))
        if self.hook:
            await self.hook("before", call, subject)
        self.attempt(call)
        yield
        if self.hook:
            await self.hook("after", call, subject)

    def prune_images(self) -> None:
        """
        Remove the references of images without a tag, as `docker image prune` does.

        Images that no container was created from are then gone.
        """
        used = {held.container.image_id for held in self.held.values()}
        for image in [each for each in self.images.values() if not each.tags]:
            if image.id in used:
                self.images[image.id] = replace(image, digests=())
            else:
                del self.images[image.id]

    def find(self, name: str) -> MemoryContainer | None:
        """Return the container with that id or name."""
        if name in self.held:
            return self.held[name]
        every = self.held.values()
        return next((one for one in every if one.container.name == name), None)

    async def start(self, held: MemoryContainer) -> None:
        """Start the container."""
        address = self._free_address(held.network)
        held.change(
            state="running",
            started_at=self.now(),
            addresses={held.network: address},
            exit_code=None,
            error="",
        )
        try:
            await self._run(held)
        except EngineError as exc:
            held.change(state="created", started_at="", addresses={}, error=str(exc))
            raise
        self.tell("start", held)
        published = self.published(held.container.image_id)
        if published and published.exits is not None:
            await self.kill(held.container.id, published.exits)

    async def _run(self, held: MemoryContainer) -> None:
        ports = [int(port.partition("/")[0]) for port in held.spec["ExposedPorts"]]
        published: Mapping[int, int] = {port: next(self._ports) for port in ports}
        if self.run:
            held.application = await self.run(held.container, held.spec)
            published = held.application.published
        held.change(published=dict(published))

    async def stop(self, held: MemoryContainer, seconds: float) -> None:
        """Stop the container, by force after *seconds*."""
        application, held.application = held.application, None
        self.tell("kill", held, str(TERMINATED))
        code = await application.stop(seconds) if application else 0
        self._ended(held, code)
        self.tell("stop", held)

    async def kill(
        self,
        name: str,
        exit_code: int = KILLED,
        *,
        oom_killed: bool = False,
        asked: bool = False,
    ) -> None:
        """
        Kill the container with that id or name; do nothing if it does not run.

        *asked* tells whether the kill was requested of the engine.
        """
        held = self.find(name)
        if held is None or not held.container.running:
            return
        application, held.application = held.application, None
        if application:
            await application.kill()
        held.change(oom_killed=oom_killed)
        if asked or oom_killed:
            action, detail = ("oom", "") if oom_killed else ("kill", "9")
            self.tell(action, held, detail)
        self._ended(held, exit_code)

    def _ended(self, held: MemoryContainer, exit_code: int) -> None:
        if held.container.running:
            held.change(state="exited", exit_code=exit_code, addresses={}, published={})
            self.tell("die", held, str(exit_code))

    def set_health(self, name: str, health: str) -> None:
        """Set the outcome of the container's own HEALTHCHECK to *health*."""
        if held := self.find(name):
            held.change(health=health)
            self.tell("health_status", held, health)

    async def restart(self, *, live_restore: bool = False) -> None:
        """Restart the engine; followers miss the events that happen meanwhile."""
        followers, self._followers = self._followers, []
        for _, events in followers:
            events.tell_now(Event("lost"))
        # Followers hear of it before anything else can happen.
        await asyncio.sleep(0)
        if not live_restore:
            for name in list(self.held):
                await self.kill(name)
        self._followers = followers
        for _, events in followers:
            events.tell_now(Event("connected"))

    def follow(self, labels: Mapping[str, str | None]) -> EngineEvents:
        """Return the events from now on of the containers that carry *labels*."""
        events = EngineEvents()
        events.tell_now(Event("connected"))
        self._followers.append((labels, events))
        return events

    def leave(self, events: EngineEvents) -> None:
        """Remove *events* once it is no longer read."""
        self._followers = [pair for pair in self._followers if pair[1] is not events]

    def tell(self, action: str, held: MemoryContainer, detail: str = "") -> None:
        """Tell followers of an action on *held*."""
        for labels, events in self._followers:
            if carries(held.container.labels, labels):
                events.tell_now(Event(action, held.container.id, detail))

    def add_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Add a network called *name*."""
        taken = {network.gateways for network in self.networks.values()}
        rows = ((f"{self.prefix}.{number}.1",) for number in range(256))
        gateways = next(row for row in rows if row not in taken)
        made = Network(name, "bridge", gateways, dict(labels))
        self.networks.setdefault(name, made)

    def now(self) -> str:
        """Return a moment later than any before."""
        moment = BEGINNING + timedelta(milliseconds=next(self._numbers))
        return moment.isoformat().replace("+00:00", "Z")

    def new_id(self) -> str:
        """Return an id that no container has had."""
        return _digest("container", next(self._numbers)).removeprefix("sha256:")

    def _free_address(self, network: str) -> str:
        if network not in self.networks:
            raise EngineError(f"the engine knows no network {network}")
        row, _, _ = self.networks[network].gateways[0].rpartition(".")
        taken = {
            address
            for held in self.held.values()
            for address in held.container.addresses.values()
        }
        addresses = (f"{row}.{number}" for number in range(2, 255))
        return next(address for address in addresses if address not in taken)


def _digest(kind: str, number: int) -> str:
    return "sha256:" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()
