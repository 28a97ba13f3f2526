"""Containers, images and networks as an engine shows them, and its interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..remotes.oci.credentials import Credentials

__all__ = [
    "Container",
    "Engine",
    "EngineLimits",
    "Event",
    "Image",
    "LogLine",
    "Network",
    "Pulling",
]

Pulling = Callable[[int, "int | None"], None]
"""Callback told the bytes of layers pulled so far, and in total where known."""


@dataclass(frozen=True, slots=True)
class Container:
    """
    A container as an inspection showed it.

    Attributes:
        id: Engine's identifier, 64 hex digits.

        name: Name without the leading slash.

        state: `created`, `running`, `paused`, `restarting`, `removing`, `exited`
            or `dead`.

        labels: Labels of the container, with those of its image.

        image: The reference it was created from.

        image_id: `sha256:…` of the image's configuration.

        created_at, started_at: RFC 3339, as the engine says it. The second tells
            one run of the container from the next; "" before the first.

        exit_code: Exit code of the last run; None while it runs or before its first.

        error: Reason why the engine could not start it, or "".

        oom_killed: Whether the kernel killed it for its use of memory.

        health: `starting`, `healthy`, `unhealthy`, or "" where the image has no
            HEALTHCHECK.

        restarts: Number of times the engine itself has restarted it.

        pid: First process, as the engine's host numbers it; 0 while none runs.

        addresses: IP address in each of its networks, by the network's name; empty
            while it does not run.

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
        """Whether the container is running and not paused."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Image:
    """
    An image on this host.

    Attributes:
        id: `sha256:…` of its configuration.

        tags: References by tag, `HOST/REPOSITORY:TAG`, as the engine has them.

        digests: References by digest, `HOST/REPOSITORY@sha256:…`.

        ports: The TCP ports it exposes, ascending.

        volumes: The paths for which each container gets an anonymous volume.

        created_at: RFC 3339.

        healthcheck: Whether it has a HEALTHCHECK of its own.

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
    Event of a container or of the stream; a hint, to be checked by an inspection.

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

        id: The container, or "" for `connected` and `lost`.

        detail: Detail of the event: `healthy` of `health_status`, the exit code of
            `die`, the signal's number of `kill` ("" from Podman), the network's name of
            `connect` and `disconnect` ("" where the engine does not tell).
    """

    action: str
    id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """
    A line of a container's output.

    Attributes:
        at: Time of writing, in a unit of the engine's choice; it only grows.
    """

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """
    Limits beyond which an engine makes no container.

    Attributes:
        runtimes: The names of its runtimes; empty where it does not tell.

        processors: Their number; 0 where it does not tell, or does not mind.
    """

    runtimes: frozenset[str] = frozenset()
    processors: int = 0


class Engine(Protocol):
    """
    A container engine on this host.

    Every call has a deadline of its own, streams apart, and raises EngineError
    (a RemoteError) where the engine refuses, hangs or answers garbage.

    Attributes:
        flavour: `docker` or `podman`.

        rootless: Whether this host cannot reach its containers' addresses.

        local: Whether it runs on this host.

        address: Address at which it is reached, `unix:///run/docker.sock`.

        identity: Text that is the same by whichever address the engine is reached, and
            differs for any other engine.

        limits: Limits that it told when it was opened.
    """

    flavour: str
    rootless: bool
    local: bool
    address: str
    identity: str
    limits: EngineLimits

    async def containers(
        self, labels: Mapping[str, str | None] | None = None
    ) -> list[Container]:
        """
        Return containers in any state that carry *labels*; None matches any value.
        """
        ...

    async def inspect(self, container: str) -> Container | None:
        """Return the container with that id or name; None if there is none."""
        ...

    async def create(self, name: str, spec: Mapping[str, Any]) -> str:
        """
        Create a container from *spec*, the body of Docker's API; return its id.

        Raises:
            NameTaken: *name* is in use by another container.
        """
        ...

    async def start(self, container: str) -> None:
        """Start the container; do nothing if it runs already."""
        ...

    async def stop(self, container: str, seconds: float) -> None:
        """
        Send the stop signal, and SIGKILL after *seconds*; return when it has ended.

        A container that does not run, or is gone, is no error.
        """
        ...

    async def remove(
        self, container: str, *, force: bool = False, keep_volumes: bool = False
    ) -> None:
        """
        Remove the container; do nothing if it is gone.

        Its anonymous volumes are removed, too, unless *keep_volumes*.
        """
        ...

    async def logs(self, container: str, lines: int) -> tuple[str, ...]:
        """Return the last *lines* of its output, oldest first; none if it is gone."""
        ...

    async def written(
        self, container: str, lines: int, after: int = 0
    ) -> tuple[LogLine, ...]:
        """
        Return lines as `logs` does, with their times, only those later than *after*.
        """
        ...

    async def check_health(self, container: str) -> bool | None:
        """
        Run the image's HEALTHCHECK where the engine does not do so by itself.

        Return whether it succeeded; None where the engine runs it, or cannot.
        """
        ...

    async def image(self, reference: str) -> Image | None:
        """Return the image by tag, digest or id; None if it is not on this host."""
        ...

    async def images(self, repository: str) -> list[Image]:
        """Return the images of *repository* (`HOST/PATH`, no tag) on this host."""
        ...

    async def pull(
        self,
        reference: str,
        credentials: Credentials | None,
        progress: Pulling,
        platform: str = "",
    ) -> None:
        """
        Pull *reference* for *platform* (`linux/arm64`), or for this host's own.

        Raises:
            PullDenied: the registry wants other credentials.
            EngineError: the image could not be pulled.
        """
        ...

    async def tag_image(self, image: str, tag: str) -> None:
        """
        Add *tag* to *image*, a reference or an id.

        Raises:
            ImageMissing: the image is not on this host.
        """
        ...

    async def remove_image(self, reference: str) -> bool:
        """Remove the reference, never by force; return False if a container uses it."""
        ...

    async def network(self, name: str) -> Network | None:
        """Return the network called *name*; None if there is none."""
        ...

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a bridge network called *name*; do nothing if it exists."""
        ...

    async def remove_network(self, name: str) -> bool:
        """Remove the network; return False if it is in use or missing."""
        ...

    def events(
        self, labels: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """
        Return the events, while entered, of the containers that carry *labels*.

        They begin with `connected`; `lost` follows whenever the stream breaks, and
        `connected` again once it was reopened. The iteration never ends by itself.
        """
        ...
