"""One container of the application, and the backends that lead to it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..config import PortMapping
from ..proxy import Backend, Port
from ..proxy.verdict import Outcomes
from .application import DEPLOYED_AT, DIGEST, SPEC, VERSION, index_of, ports_of
from .health import HealthTracker
from .model import Container
from .rollout import Observed, Phase
from .terminations import Termination
from .upstream import Upstream

__all__ = ["Replica"]

T = TypeVar("T")


class Replica:
    """
    What is known of one container, from when it was first seen.

    A run of it, not the container, is what backends lead to: it may be started
    again at another address. `began` makes it another run.

    Attributes:
        container: As it was seen last.

        phase: How far it is.

        upstream: How it is reached; None while that is not known.

        backends: By the place of each port of the proxy that leads to it, while it
            is in the table or connections to it are open.

        health_tracker: What the looks at it came to.

        problem: What was wrong at the last look, or "".

        detour: Why it is not reached by the cheapest way, or "".

        unhealthy_since: When it became unhealthy, by the loop's clock; None while
            it is healthy.

        asked: Somebody had the engine end it, so that its end is no verdict.

        served: It was in the table in this run.

        as_of: The moment up to which all that was heard of it is in this.

        dead: Its process has ended, whether or not the engine says so yet: whoever
            has its address now is somebody else.

        ended: Done with the exit status, or None where that is not known, once
            this run is over.

        termination: How this run ended, once that was counted.

        since: When it was first seen, by the loop's clock.
    """

    def __init__(
        self,
        container: Container,
        phase: Phase,
        health_tracker: HealthTracker,
        mappings: Sequence[PortMapping],
    ) -> None:
        self.container = container
        self.phase = phase
        self.health_tracker = health_tracker
        self.upstream: Upstream | None = None
        self.backends: Mapping[int, Backend] = {}
        self._entered: list[Backend] = []
        self.problem = self.detour = ""
        self.unhealthy_since: float | None = None
        self.asked = asyncio.Event()
        self.served = False
        self.as_of = 0
        self.dead = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self.termination: Termination | None = None
        self.since = loop.time()
        self._mappings = mappings

    def __repr__(self) -> str:
        return f"<Replica {self.container.name}, {self.phase.name.lower()}>"

    @property
    def id(self) -> str:
        return self.container.id

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def spec(self) -> str:
        """What it was made from; "" where the original made it."""
        return self.container.labels.get(SPEC, "")

    @property
    def version(self) -> str:
        return self.container.labels.get(VERSION, "")

    @property
    def digest(self) -> str:
        return self.container.labels.get(DIGEST, "")

    @property
    def deployed_at(self) -> str:
        """RFC 3339."""
        return self.container.labels.get(DEPLOYED_AT) or self.container.started_at

    @property
    def ports(self) -> dict[int, int]:
        """The container's, by the places of the proxy's ports that lead there."""
        return ports_of(self.container, self._mappings)

    @property
    def connections(self) -> int:
        """Open ones through the proxy."""
        return sum(backend.connections for backend in self.backends.values())

    @property
    def traffic(self) -> dict[str, int]:
        """What went through the proxy to it and back, while it had these backends."""
        counted = [backend.stats() for backend in self.backends.values()]
        return {
            "connections": sum(each.active for each in counted),
            "connections_total": sum(each.total for each in counted),
            "bytes_up": sum(each.bytes_up for each in counted),
            "bytes_down": sum(each.bytes_down for each in counted),
        }

    @property
    def outcomes(self) -> Outcomes:
        """Results of its connections since it entered the table, wherever it was."""
        return Outcomes.of(backend.stats() for backend in self._entered)

    @property
    def exit_code(self) -> int | None:
        """Its exit status, as far as it has ended and anything told it."""
        return self.ended.result() if self.ended.done() else None

    @property
    def seen(self) -> Observed:
        """As the reconciler looks at it."""
        return Observed(self.id, index_of(self.container.labels), self.spec, self.phase)

    def is_same_run(self, container: Container) -> bool:
        """Whether *container* shows the run that is known."""
        return container.started_at == self.container.started_at

    def is_where_it_was(self, container: Container) -> bool:
        """Whether *container* has all the known addresses, and perhaps more."""
        return self.container.addresses.items() <= container.addresses.items()

    def enter(self, ports: Sequence[Port], upstream: Upstream) -> None:
        """Make backends for it, which do not serve yet."""
        self.upstream = upstream
        self.backends = {
            place: ports[place].add(endpoint, serving=False)
            for place, endpoint in zip(self.ports, upstream.endpoints, strict=False)
        }
        self._entered += self.backends.values()

    async def while_it_lives(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What *work* comes to; None, and it is given up, once this run is dead."""
        working = asyncio.create_task(work, name=f"work on {self.name}")
        death = asyncio.create_task(self.dead.wait(), name=f"death of {self.name}")
        either: set[asyncio.Future[Any]] = {working, death}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return None if self.dead.is_set() else working.result()
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    def mark_unhealthy(self) -> None:
        """Use it for want of a better one only, until looks at it are good."""
        self.health_tracker = replace(self.health_tracker, healthy=False, row=0)
        self.unhealthy_since = asyncio.get_running_loop().time()

    def over(self, exit_code: int | None) -> None:
        """This run has ended."""
        self.dead.set()
        if not self.ended.done():
            self.ended.set_result(exit_code)
