"""What a host in memory holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from ..model import Container, Image

__all__ = ["Application", "Call", "Held", "Hook", "Phase", "Published", "Run"]

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
"""Awaited around a call about a container, an image or a network; may raise."""


class Application(Protocol):
    """
    What runs in a container.

    Attributes:
        published: The port on 127.0.0.1 by the container's port.
    """

    published: Mapping[int, int]

    async def stop(self, seconds: float) -> int:
        """Its stop signal, and its end within *seconds*; the exit code."""
        ...

    async def kill(self) -> None:
        """SIGKILL."""
        ...


Run = Callable[[Container, Mapping[str, Any]], Awaitable[Application]]
"""Starts the application of a container, which has its addresses already."""


@dataclass(frozen=True, slots=True)
class Published:
    """
    An image in the registry.

    Attributes:
        exits: Its containers end at once, with this code.

        size: Bytes of its only layer.
    """

    image: Image
    labels: Mapping[str, str] = field(default_factory=dict)
    exits: int | None = None
    size: int = 1000


@dataclass
class Held:
    """A container of the host, and what only the host knows of it."""

    container: Container
    spec: Mapping[str, Any]
    application: Application | None = None
    output: list[str] = field(default_factory=list)

    @property
    def network(self) -> str:
        """The name of the one it is in."""
        options = self.spec.get("HostConfig") or {}
        return str(options.get("NetworkMode") or "bridge")

    def change(self, **values: Any) -> None:
        """From here on an inspection shows *values*."""
        self.container = replace(self.container, **values)
