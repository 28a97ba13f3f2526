"""The contents of a host in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from ..model import Container, Image

__all__ = [
    "Call",
    "Hook",
    "MemoryApplication",
    "MemoryContainer",
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
