"""A container of the application: its phases, its backends, and its description."""

from __future__ import annotations

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from ..config import PortMapping
from ..errors import EngineError
from ..histogram import CheckResult
from ..proxy import Backend, Port
from ..proxy.backend import Outcomes
from .application import (
    DEPLOYED_AT,
    DIGEST,
    SPEC,
    VERSION,
    image_name,
    index_of,
    ports_of,
)
from .health import HealthTracker
from .model import Container
from .rollout import Observed, Phase
from .terminations import Termination, TerminationLog
from .upstream import DIRECT, Upstream

__all__ = ["Replica", "describe"]

T = TypeVar("T")
Record = Callable[[Container, "int | None"], Termination]


class Replica:
    """
    State of a container, from when it was first seen.

    It lasts for one run of the container, which may be started again at another
    address. Its methods make the transitions from phase to phase; those that take a
    moment *at* say until when this state includes all reports.

    Attributes:
        container: The container as last seen.

        phase: Progress of the replica.

        upstream: Upstream in use; None while it is not known.

        backends: Backends by the position of the proxy's port, while it is in the table
            or connections to it are open.

        health_tracker: Verdict of its health checks.

        problem: Problem found by the last check, or "".

        last_check: Result of the last check; None before the first.

        detour: Reason why it is not reached by the cheapest way, or "".

        unhealthy_since: Time it became unhealthy, by the loop's clock; None while it is
            healthy.

        asked: Set when the engine was asked to end it, so that its end is no verdict.

        untold: Whether its process is dead, and the engine has not told so in time.

        unseen: Whether it ended while the engine's events were lost: a restart of the
            engine may have taken it along, so that its end is no verdict, either.

        in_question: Whether its container is still needed to learn who ended it.

        served: Whether it was in the table in this run.

        as_of: Moment up to which this state includes all that was reported of it.

        dead: Set once its process has ended, whether or not the engine says so yet: its
            address may have another holder from then on.

        ended: Done with the exit status, or None where that is not known, once
            this run is over.

        termination: Record of how this run ended, once that was counted.

        since: Time it was first seen, by the loop's clock.

        not_removed: Number of attempts to remove it that failed.

        retry_at: Time before which no other is made, by the loop's clock.
    """

    def __init__(
        self,
        container: Container,
        phase: Phase,
        mappings: Sequence[PortMapping],
        at: int = 0,
    ) -> None:
        self.container = container
        self.phase = phase
        self.health_tracker = HealthTracker()
        self.upstream: Upstream | None = None
        self.backends: Mapping[int, Backend] = {}
        self._entered: list[Backend] = []
        self._past = Outcomes()  # of the backends that are removed
        self.problem = self.detour = ""
        self.last_check: CheckResult | None = None
        self.unhealthy_since: float | None = None
        self.asked = asyncio.Event()
        self.untold = self.unseen = self.in_question = False
        self.served = False
        self.as_of = at
        self.dead = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self.termination: Termination | None = None
        self.since = loop.time()
        self.not_removed = 0
        self.retry_at = 0.0
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
        """Fingerprint of its specification; "" where the original created it."""
        return self.container.labels.get(SPEC, "")

    @property
    def version(self) -> str:
        return self.container.labels.get(VERSION, "")

    @property
    def digest(self) -> str:
        return self.container.labels.get(DIGEST, "")

    @property
    def deployed_at(self) -> str:
        """Time of its creation, RFC 3339."""
        return self.container.labels.get(DEPLOYED_AT) or self.container.started_at

    @property
    def ports(self) -> dict[int, int]:
        """Container ports by the positions of the proxy's ports that lead there."""
        return ports_of(self.container, self._mappings)

    @property
    def connections(self) -> int:
        """Number of open connections through the proxy."""
        return sum(backend.connections for backend in self.backends.values())

    @property
    def traffic(self) -> dict[str, int]:
        """Traffic through the proxy to it and back, over these backends."""
        counted = [backend.stats() for backend in self.backends.values()]
        return {
            "connections": sum(each.active for each in counted),
            "connections_total": sum(each.total for each in counted),
            "bytes_up": sum(each.bytes_up for each in counted),
            "bytes_down": sum(each.bytes_down for each in counted),
            "failures": sum(each.failures for each in counted),
            "broken": sum(each.broken for each in counted),
        }

    @property
    def outcomes(self) -> Outcomes:
        """
        Results of its connections since it entered the table, by whichever upstream.
        """
        now = Outcomes.of(backend.stats() for backend in self._entered)
        return Outcomes.total((self._past, now))

    @property
    def exit_code(self) -> int | None:
        """Exit status, once it has ended and the status is known."""
        return self.ended.result() if self.ended.done() else None

    @property
    def seen(self) -> Observed:
        """The replica in the form the reconciler decides on."""
        index = index_of(self.container.labels)
        return Observed(self.id, index, self.spec, self.evident_phase)

    @property
    def evident_phase(self) -> Phase:
        """Phase that counts for decisions, whatever the engine has told."""
        leaving = self.phase is Phase.LEAVING
        return Phase.GONE if self.untold and not leaving else self.phase

    def is_same_run(self, container: Container) -> bool:
        """Return whether *container* shows the run that is known."""
        return container.started_at == self.container.started_at

    def is_reached_by(self, network: str) -> bool:
        """Return whether connections to it may go through *network*."""
        upstream = self.upstream
        if upstream is None or upstream.route != DIRECT:
            return True
        address = self.container.addresses.get(network)
        hosts = {endpoint.host for endpoint in upstream.endpoints}
        return address is None or address in hosts

    def is_where_it_was(self, container: Container) -> bool:
        """
        Return whether *container* still has the address in use; where that is not
        known, all that it had.
        """
        if self.upstream is not None and self.upstream.route == DIRECT:
            return self.upstream.leads_to(container)
        return self.container.addresses.items() <= container.addresses.items()

    def observe(self, container: Container, at: int) -> None:
        """Take in an inspection of this run."""
        self.container, self.as_of = container, at

    def mark_oom_killed(self) -> None:
        """Note that the kernel kills it for its use of memory: its end follows."""
        self.container = replace(self.container, oom_killed=True)

    def await_readiness(self) -> None:
        """Begin to wait until it is ready, unless it is that already, or is leaving."""
        if self.phase < Phase.READY and self.phase is not Phase.LEAVING:
            self.phase = Phase.STARTING

    def stop_waiting(self) -> None:
        """Wait no longer until it is ready; a later check finds out."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.UNCHECKED

    def passed(self, result: CheckResult, detour: str) -> None:
        """Note a good check; *detour* is why the cheapest way was not taken, or ""."""
        self.last_check, self.problem, self.detour = result, "", detour

    def failed(self, result: CheckResult, problem: str = "") -> None:
        """Note a bad check; *problem* is for one that tried several ways."""
        self.last_check, self.problem = result, problem or result.problem

    def ready(self, upstream: Upstream) -> None:
        """
        Note that *upstream* leads to it, and that it may enter the table.

        One that serves stays as it is: `ReplicaTable.move` changes its upstream.
        """
        if self.phase in (Phase.UNCHECKED, Phase.STARTING, Phase.READY):
            self.upstream, self.phase = upstream, Phase.READY

    def enter(self, ports: Sequence[Port]) -> None:
        """Enter the table, with backends that do not serve yet."""
        assert self.upstream is not None
        self.reroute(ports, self.upstream)
        self.phase, self.served = Phase.SERVING, True

    def reroute(self, ports: Sequence[Port], upstream: Upstream) -> None:
        """Create backends for *upstream*, which do not serve yet."""
        self._let_go_of_removed()
        self.upstream = upstream
        self.backends = {
            place: ports[place].add(endpoint, serving=False)
            for place, endpoint in zip(self.ports, upstream.endpoints, strict=False)
        }
        self._entered += self.backends.values()

    def give_up_backends(self) -> Collection[Backend]:
        """Return its backends, which it has no more."""
        backends, self.backends = self.backends, {}
        return backends.values()

    def judge(self, good: bool, rise: int, fall: int) -> bool:
        """Count a check; return whether the verdict on its health has changed."""
        before = self.health_tracker.healthy
        self.health_tracker = self.health_tracker.after(good, rise, fall)
        if self.health_tracker.healthy is before:
            return False
        now = asyncio.get_running_loop().time()
        self.unhealthy_since = now if before else None
        return True

    def recheck(self, at: int) -> None:
        """Have it checked again before it serves on: its address may have changed."""
        self.as_of = at
        if self.phase > Phase.STARTING:
            self.phase = Phase.UNCHECKED

    def pause(self, at: int) -> None:
        """Note that its container is frozen."""
        self.phase, self.as_of = Phase.PAUSED, at

    def resume(self) -> bool:
        """Have it checked again if it was paused and runs; return whether it was."""
        was_paused = self.phase is Phase.PAUSED and self.container.running
        if was_paused:
            self.phase = Phase.UNCHECKED
        return was_paused

    def leave(self) -> None:
        """Begin to leave: it is drained, and stopped on request."""
        self.phase = Phase.LEAVING

    def stay(self, pause: float = 0.0) -> None:
        """
        Leave it to the next decision: it is removed if it has ended, else checked.

        After a removal that failed, the next is not made within *pause* seconds.
        """
        self.phase = Phase.GONE if self.ended.done() else Phase.UNCHECKED
        if pause:
            self.not_removed += 1
            self.retry_at = asyncio.get_running_loop().time() + pause

    def disown(self) -> None:
        """Note that its container belongs to another owner: its end is no death."""
        self.served = False

    def presume_gone(self) -> None:
        """Count it as gone, for its process ended without the engine telling."""
        self.untold = True

    def end(self, exit_code: int | None, at: int, *, unseen: bool) -> bool:
        """
        End this run; return whether it died while it served.

        *unseen* says that the engine's events are lost at the moment.
        """
        died = self.served and self.phase not in (Phase.GONE, Phase.LEAVING)
        self.served, self.as_of = False, at
        # The task that waits for its readiness, or for its end, deals with it.
        if self.phase not in (Phase.STARTING, Phase.LEAVING):
            self.phase = Phase.GONE
        self.dead.set()
        if not self.ended.done():
            self.unseen = unseen
            self.ended.set_result(exit_code)
        return died

    def record_end(self, record: Record, exit_code: int | None) -> None:
        """Have *record* note how this run ended, once, unless it was told to end."""
        if self.termination is None and self.phase is not Phase.LEAVING:
            self.termination = record(self.container, exit_code)

    @contextmanager
    def in_doubt(self) -> Iterator[None]:
        """Keep its container in the block: it tells who ended it."""
        self.in_question = True
        try:
            yield
        finally:
            self.in_question = False

    def _let_go_of_removed(self) -> None:
        """Add up what the removed backends counted: each change of route makes one."""
        removed = [each for each in self._entered if each.removed]
        past = Outcomes.of(each.stats() for each in removed)
        self._past = Outcomes.total((self._past, past))
        self._entered = [each for each in self._entered if not each.removed]

    async def while_it_lives(self, work: Coroutine[Any, Any, T]) -> T | None:
        """
        Return the result of *work*; cancel it and return None once this run is dead.
        """
        working = asyncio.create_task(work, name=f"work on {self.name}")
        death = asyncio.create_task(self.dead.wait(), name=f"death of {self.name}")
        either: set[asyncio.Future[Any]] = {working, death}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self.dead.is_set():
                return working.result()
            self.problem = "its process has ended"
            return None
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    async def until(self, end: float, asking: Awaitable[T | None]) -> T | None:
        """
        Return the result of *asking* it until *end*, by the loop's clock.

        Return None after that, and where the engine fails: it may only be away for a
        moment.
        """
        try:
            async with asyncio.timeout_at(end):
                return await asking
        except TimeoutError:
            self.problem = self.problem or "it did not answer in time"
        except EngineError as exc:
            self.problem = str(exc)
        return None

    def mark_unhealthy(self) -> None:
        """Use it only for want of a better one, until its checks are good."""
        self.health_tracker = replace(self.health_tracker, healthy=False, row=0)
        self.unhealthy_since = asyncio.get_running_loop().time()


LOOPBACK = "127.0.0.1"

NEVER = "0001-01-01T00:00:00Z"
"""The zero time of engines, as readers of the original's JSON always expect a time."""


def describe(replica: Replica, terminations: TerminationLog) -> dict[str, Any]:
    """Return a replica as JSON, with the deaths of its predecessors in its place."""
    container = replica.container
    index = index_of(container.labels)
    last = terminations.last(index, replica.version)
    check = replica.last_check
    restarts = terminations.restarts(index, replica.version)
    return {
        "id": container.id,
        "name": container.name,
        "image": image_name(container),
        "status": container.state,
        "ip_port": _published(replica),
        "started_at": container.started_at or NEVER,
        "deployed_at": replica.deployed_at or NEVER,
        "labels": dict(container.labels),
        "version": replica.version,
        "digest": replica.digest,
        "phase": replica.evident_phase.name.lower(),
        "upstream": _upstream(replica),
        "way": replica.upstream.route if replica.upstream else "",
        **replica.traffic,
        "health": _health(replica),
        "problem": replica.problem,
        "last_check": check and check.to_json(),
        "restarts": container.restarts + restarts,
        "last_terminated": last and last.as_json(),
    }


def _published(replica: Replica) -> str:
    """Return the published address of the proxy's first port, as the original does."""
    published = replica.container.published
    for port in replica.ports.values():
        if port in published:
            return f"{LOOPBACK}:{published[port]}"
    return ""


def _upstream(replica: Replica) -> str:
    if replica.upstream is None or not replica.upstream.endpoints:
        return ""
    return str(replica.upstream.endpoints[0])


def _health(replica: Replica) -> str:
    phase = replica.evident_phase
    if phase is Phase.SERVING:
        return "healthy" if replica.health_tracker.healthy else "unhealthy"
    return "starting" if phase in (Phase.STARTING, Phase.READY) else ""
