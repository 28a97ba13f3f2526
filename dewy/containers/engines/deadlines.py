"""How long an engine may take for what it is asked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STANDARD", "Deadlines"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """
    Seconds until an engine counts as hanging.

    Attributes:
        hello: For its first answer; Podman's service takes a second to wake.

        look: For an answer that changes nothing.

        change: For creating, starting, removing and listing images, which wait for
            disks. A replica that is started waits for it, and no other does.

        margin: For a stop, beyond the time the container was given.

        health: For one run of a container's HEALTHCHECK.

        silence: Between two signs of life while an image is pulled.

        quiet: Without an event, until the engine is asked whether it lives.

        backoff: At most, before events are asked for anew.
    """

    hello: float = 15.0
    look: float = 10.0
    change: float = 60.0
    margin: float = 15.0
    health: float = 60.0
    silence: float = 300.0
    quiet: float = 20.0
    backoff: float = 5.0


STANDARD = Deadlines()
