"""Time limits for calls to an engine."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STANDARD", "EngineDeadlines"]


@dataclass(frozen=True, slots=True)
class EngineDeadlines:
    """
    Seconds after which an engine counts as hanging.

    Attributes:
        hello: Limit for its first answer; Podman's service takes a second to wake.

        look: Limit for a call that changes nothing.

        change: Limit for creating, starting, removing and listing images, which wait
            for disks. A replica being started waits for it, and no other does.

        margin: Limit for a stop, beyond the time given to the container.

        health: Limit for one run of a container's HEALTHCHECK.

        silence: Limit between two signs of life while an image is pulled.

        quiet: Time without an event before the engine is asked whether it is alive.

        backoff: Longest delay before events are requested again.
    """

    hello: float = 15.0
    look: float = 10.0
    change: float = 60.0
    margin: float = 15.0
    health: float = 60.0
    silence: float = 300.0
    quiet: float = 20.0
    backoff: float = 5.0


STANDARD = EngineDeadlines()
