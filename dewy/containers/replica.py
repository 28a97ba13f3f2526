"""
A container of the application: its backends, its ends, and its description.

Ends are kept beyond containers: one that died is removed within moments, and with it
its exit status and whether it was killed for its use of memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from ..config import PortMapping
from ..histogram import CheckResult
from ..proxy import Backend, Port
from ..proxy.backend import Outcomes
from ..supervisor.processes import describe_exit
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
from .upstream import DIRECT, Upstream

__all__ = [
    "REASONS",
    "Replica",
    "Termination",
    "TerminationLog",
    "describe",
]

REASONS = ("exit", "signal", "oom", "unknown")
KEPT = 1000  # replicas of versions whose ends are remembered
SIGNALS = range(129, 193)  # offset that engines, like shells, add to a signal's number


@dataclass(frozen=True, slots=True)
class Termination:
    """
    End of one run of a replica.

    Attributes:
        container: Name of the container.

        reason: Member of `REASONS`: ended by itself, by a signal, by the kernel for
            its use of memory; or not told by the engine.

        exit_code: Exit code as the engine tells it; None where it does not.

        finished_at: Time at which dewy learned of it, RFC 3339.
    """

    container: str
    version: str
    reason: str
    exit_code: int | None
    finished_at: str

    @classmethod
    def of(cls, container: Container, exit_code: int | None) -> Termination:
        """Return the end of *container*, as an inspection or an event showed it."""
        return cls(
            container.name,
            container.labels.get(VERSION, ""),
            _reason(exit_code, container.oom_killed),
            exit_code,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def how(self) -> str:
        """The end in a few words."""
        return describe_end(self.exit_code, self.reason == "oom")

    def as_json(self) -> dict[str, Any]:
        """Return it as the admin API shows it."""
        return {**asdict(self), "how": self.how}


class TerminationLog:
    """
    Deaths of an application's replicas since dewy started.

    Attributes:
        deaths: Number of deaths, by reason.
    """

    def __init__(self) -> None:
        self.deaths = Counter(dict.fromkeys(REASONS, 0))
        self._last: dict[int, Termination] = {}
        self._of: dict[tuple[int, str], tuple[int, Termination]] = {}

    def record(self, container: Container, exit_code: int | None) -> Termination:
        """Count the end of *container*."""
        found = Termination.of(container, exit_code)
        index = index_of(container.labels)
        times = self.restarts(index, found.version) + 1
        self.deaths[found.reason] += 1
        self._last[index] = found
        self._of.pop((index, found.version), None)
        self._of[index, found.version] = times, found
        while len(self._of) > KEPT:
            del self._of[next(iter(self._of))]
        return found

    def last(self, index: int, version: str = "") -> Termination | None:
        """
        Return the last end of a replica with that number: at *version*, where there was
        one.
        """
        _, own = self._of.get((index, version), (0, None))
        return own or self._last.get(index)

    def restarts(self, index: int, version: str) -> int:
        """Return how often the replica with that number ended at *version*."""
        count, _ = self._of.get((index, version), (0, None))
        return count


def describe_end(exit_code: int | None, oom_killed: bool = False) -> str:
    """Return `exit status 1`, or `exit status 137 (killed by SIGKILL)`."""
    how = "ended" if exit_code is None else f"exit status {exit_code}"
    if exit_code is not None and exit_code in SIGNALS:
        how += f" ({describe_exit(128 - exit_code)})"
    return f"{how}, killed for its use of memory" if oom_killed else how


def _reason(exit_code: int | None, oom_killed: bool) -> str:
    if oom_killed:
        return "oom"
    if exit_code is None:
        return "unknown"
    return "signal" if exit_code in SIGNALS else "exit"


T = TypeVar("T")


class Replica:
    """
    State of a container, from when it was first seen.

    Backends lead to one run of it, not to the container, which may be started again at
    another address. `began` starts another run.

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
        health_tracker: HealthTracker,
        mappings: Sequence[PortMapping],
    ) -> None:
        self.container = container
        self.phase = phase
        self.health_tracker = health_tracker
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
        self.as_of = 0
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

    def enter(self, ports: Sequence[Port], upstream: Upstream) -> None:
        """Create backends for it, which do not serve yet."""
        self._let_go_of_removed()
        self.upstream = upstream
        self.backends = {
            place: ports[place].add(endpoint, serving=False)
            for place, endpoint in zip(self.ports, upstream.endpoints, strict=False)
        }
        self._entered += self.backends.values()

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
            return None if self.dead.is_set() else working.result()
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    def mark_unhealthy(self) -> None:
        """Use it only for want of a better one, until its checks are good."""
        self.health_tracker = replace(self.health_tracker, healthy=False, row=0)
        self.unhealthy_since = asyncio.get_running_loop().time()

    def over(self, exit_code: int | None) -> None:
        """Note that this run has ended."""
        self.dead.set()
        if not self.ended.done():
            self.ended.set_result(exit_code)


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
