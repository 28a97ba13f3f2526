"""What an engine tells of containers and images, and what it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..remotes.oci.credentials import Credentials

__all__ = [
    "Container",
    "Engine",
    "Event",
    "Image",
    "Line",
    "Network",
    "Pulling",
]

Pulling = Callable[[int, "int | None"], None]
"""Told the bytes of layers that have come, and how many there will be, if known."""


@dataclass(frozen=True, slots=True)
class Container:
    """
    A container as an inspection showed it.

    Attributes:
        id: The engine's own name for it, 64 hex digits.

        name: Without the leading slash.

        state: `created`, `running`, `paused`, `restarting`, `removing`, `exited`
            or `dead`.

        labels: Its own and its image's.

        image: The reference it was created from.

        image_id: `sha256:…` of the image's configuration.

        created_at, started_at: RFC 3339, as the engine says it. The second tells
            one run of the container from the next; "" before the first.

        exit_code: Of the last run; None while it runs or before its first.

        error: Why the engine could not start it, or "".

        oom_killed: The kernel killed it for its use of memory.

        health: `starting`, `healthy`, `unhealthy`, or "" where the image has no
            HEALTHCHECK.

        restarts: How often the engine itself has restarted it.

        pid: Its first process, as the engine's host numbers it; 0 while none runs.

        addresses: Its IP address in each network it is in, by the network's name;
            empty while it does not run.

        published: The port on 127.0.0.1 by the container's TCP port; empty while
            it does not run.
    """

    id: str
    name: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    image_id: str = ""
    created_at: str = ""
    started_at: str = ""
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    health: str = ""
    restarts: int = 0
    pid: int = 0
    addresses: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[int, int] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """It is at work."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Image:
    """
    An image on this host.

    Attributes:
        id: `sha256:…` of its configuration.

        tags: Its references by tag, `HOST/REPOSITORY:TAG`, as the engine has them.

        digests: Its references by digest, `HOST/REPOSITORY@sha256:…`.

        ports: The TCP ports it exposes, ascending.

        volumes: The paths for which each container gets an anonymous volume.

        created_at: RFC 3339.

        healthcheck: It has a HEALTHCHECK of its own.

        platform: `linux/amd64` …
    """

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()
    created_at: str = ""
    healthcheck: bool = False
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """
    A network of the engine.

    Attributes:
        gateways: The host's own addresses in it, which only the host's bridge has.
    """

    name: str
    driver: str
    gateways: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """
    Something happened to a container; a hint, to be checked by an inspection.

    An ending that somebody asked the engine for is told apart from a crash by what
    comes with its `die`:

    ================  ==========================  ==========================
    ended by          Docker                      Podman
    ================  ==========================  ==========================
    `kill`            kill, die                   kill, die
    `stop`            kill, die, stop             die, stop
    `restart`         kill, die, stop, start,     restart, die, start
                      restart
    `rm -f`           kill, die, destroy          die, destroy
    lack of memory    oom, die                    die
    itself, the host  die                         die
    ================  ==========================  ==========================

    dewy's own stops and removals send the same. A `kill` says nothing of an ending
    unless its signal ends the program: SIGHUP is told as well. Podman's inspection
    shows `oom_killed` where its monitor noticed, which not every host lets it.

    Attributes:
        action: `start`, `die`, `kill`, `stop`, `restart`, `oom`, `destroy`,
            `disconnect`, `health_status` …, in Docker's words for either engine.
            Two are said by ourselves: `connected`, the stream has (re)begun and
            things may have been missed; and `lost`, it broke and will be opened
            anew.

        id: The container, or "" for those two.

        detail: What an event says further: `healthy` of `health_status`, the
            exit code of `die`, the signal's number of `kill` ("" from Podman).
    """

    action: str
    id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line of a container's output.

    Attributes:
        at: When it was written; whatever it counts, it grows.
    """

    at: int
    text: str


class Engine(Protocol):
    """
    A container engine on this host.

    Every call has a deadline of its own, streams apart, and raises EngineError
    (a RemoteError) where the engine refuses, hangs or answers garbage.

    Attributes:
        flavour: `docker` or `podman`.

        rootless: Its containers' addresses are not this host's to reach.

        local: It runs on this host.

        address: Where it is reached, `unix:///run/docker.sock`.

        keep_volumes: `remove` leaves anonymous volumes.

        identity: The same by whichever address it is reached, and another for
            any other engine.
    """

    flavour: str
    rootless: bool
    local: bool
    address: str
    identity: str
    keep_volumes: bool

    async def containers(
        self, labels: Mapping[str, str | None] | None = None
    ) -> list[Container]:
        """All, in whatever state, that carry *labels* (None: with any value)."""
        ...

    async def inspect(self, container: str) -> Container | None:
        """The container of that id or name; None if there is none."""
        ...

    async def create(self, name: str, spec: Mapping[str, Any]) -> str:
        """
        Create a container from *spec*, the body of Docker's API; its id.

        Raises:
            NameTaken: another one is called *name*.
        """
        ...

    async def start(self, container: str) -> None:
        """Start it; no matter if it runs already."""
        ...

    async def stop(self, container: str, seconds: float) -> None:
        """
        Its stop signal, and SIGKILL after *seconds*; returns when it has ended.

        No matter if it does not run, or is gone.
        """
        ...

    async def remove(self, container: str, *, force: bool = False) -> None:
        """
        Remove it; no matter if it is gone.

        Its anonymous volumes go, too, unless `keep_volumes`.
        """
        ...

    async def logs(self, container: str, lines: int) -> tuple[str, ...]:
        """The last *lines* of its output, oldest first; none if it is gone."""
        ...

    async def written(
        self, container: str, lines: int, after: int = 0
    ) -> tuple[Line, ...]:
        """As `logs`, each with its moment; only those later than *after*."""
        ...

    async def check_health(self, container: str) -> bool | None:
        """
        Run the image's HEALTHCHECK where the engine does not do so by itself.

        Whether it succeeded; None where the engine runs it, or cannot.
        """
        ...

    async def image(self, reference: str) -> Image | None:
        """The image by tag, digest or id; None if it is not on this host."""
        ...

    async def images(self, repository: str) -> list[Image]:
        """All images of *repository* (`HOST/PATH`, no tag) on this host."""
        ...

    async def pull(
        self,
        reference: str,
        credentials: Credentials | None,
        progress: Pulling,
        platform: str = "",
    ) -> None:
        """
        Have *reference* on this host: for *platform* (`linux/arm64`), or its own.

        Raises:
            PullDenied: the registry wants other credentials.
            EngineError: it could not be had.
        """
        ...

    async def tag_image(self, image: str, tag: str) -> None:
        """
        Have *image*, a reference or an id, be called *tag*, too.

        Raises:
            ImageMissing: it is not on this host.
        """
        ...

    async def remove_image(self, reference: str) -> bool:
        """Remove that reference, never by force; False if a container uses it."""
        ...

    async def network(self, name: str) -> Network | None:
        """The network called *name*; None if there is none."""
        ...

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """A bridge network called *name*; no matter if there is one."""
        ...

    async def remove_network(self, name: str) -> bool:
        """Remove it; False if it is in use or not there."""
        ...

    def events(
        self, labels: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """
        What happens to the containers that carry *labels*, while entered.

        Begins with `connected`; says `lost` whenever the stream broke and
        `connected` again once it was opened anew. Never ends by itself.
        """
        ...
