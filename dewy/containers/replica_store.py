"""
The replicas of an application, as the engine shows them.

What the engine says in between are hints; an inspection decides. A container
that died leaves the table before anything else happens, for its address may be
given to another at once; only an inspection brings it back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count

from ..config import PortMapping
from ..errors import EngineError
from ..proxy import Backend
from .application import Application, is_copy
from .health import HealthTracker
from .model import Container, Engine
from .replica import Replica
from .revision import Revision
from .rollout import Observed, Phase
from .table import Table
from .terminations import Termination, TerminationLog

__all__ = ["ReplicaStore"]

log = logging.getLogger(__name__)

NOT_AT_WORK = frozenset({"created", "exited", "dead", "removing"})


class ReplicaStore:
    """
    Knows every container of *application*.

    Args:
        health_tracker: What a new replica's looks are counted by.

        mappings: What the ports of *table* are for, in their order.

    Attributes:
        changed: Told whenever there may be something to do.

        died: Called with a replica that was in the table and has ended.

        runs: Called with every replica that is seen at work.

        terminations: How replicas ended that nobody here had told to.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        table: Table,
        health_tracker: HealthTracker,
        mappings: Sequence[PortMapping],
    ) -> None:
        self.engine = engine
        self.application = application
        self.table = table
        self.health_tracker = health_tracker
        self.mappings = mappings
        self.changed = Revision()
        self.died: Callable[[Replica], None] = lambda replica: None
        self.runs: Callable[[Replica], None] = lambda replica: None
        self.terminations = TerminationLog()
        self._replicas: dict[str, Replica] = {}
        self._creating: set[str] = set()
        self._removed: set[str] = set()
        self._copies: set[str] = set()
        self._moments = count()

    def __repr__(self) -> str:
        replicas = list(self._replicas.values())
        return f"<ReplicaStore of {self.application.name}: {replicas}>"

    @property
    def replicas(self) -> list[Replica]:
        """All of them, in whatever phase."""
        return list(self._replicas.values())

    @property
    def serving(self) -> list[Replica]:
        """Those in the table."""
        return [r for r in self.replicas if r.phase is Phase.SERVING]

    def snapshot(self) -> list[Observed]:
        """As the reconciler looks at them."""
        return [replica.seen for replica in self.replicas]

    def get(self, container: str) -> Replica | None:
        """The replica in the container of that id."""
        return self._replicas.get(container)

    def by_backend(self, backend: Backend) -> Replica | None:
        """The replica that *backend* leads to."""
        every = self._replicas.values()
        return next((r for r in every if backend in r.backends.values()), None)

    async def observe(self) -> None:
        """
        Look at all containers, and take in what changed.

        Raises:
            EngineError: the engine did not tell; nothing changed.
        """
        before, asked = set(self._replicas), next(self._moments)
        found = await self.engine.containers(self.application.selector)
        ours = {each.id: each for each in found if self.application.owns(each)}
        self._tell_copies(found)
        for container in ours.values():
            self._take_in(container, asked)
        # Not listed may mean: created while the list was made.
        looks = (self.look_at(missing) for missing in before - set(ours))
        for failed in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    def _tell_copies(self, found: Iterable[Container]) -> None:
        """Say once of each container that only its labels are a replica's."""
        copies = {each.id: each.name for each in found if is_copy(each)}
        for name in (copies[each] for each in copies.keys() - self._copies):
            log.warning(
                "Container has a replica's labels and another image; it is left alone",
                extra={"container": name},
            )
        self._copies = set(copies)

    async def look_at(self, container: str) -> Replica | None:
        """As `observe`, for one container."""
        asked = next(self._moments)
        found = await self.engine.inspect(container)
        if found is None:
            self.forget(container)
            return None
        if not self.application.owns(found):
            self._disown(container)
            return None
        return self._take_in(found, asked)

    def _disown(self, container: str) -> None:
        """Somebody made it another's: it is not dead, and none of our business."""
        replica = self._replicas.pop(container, None)
        if replica is not None:
            replica.served = False
            self.lose(replica, None)

    def claim(self) -> None:
        """
        Have what was found be this dewy's own.

        What other roots make from now on is another dewy's, in a network namespace
        where the lock does not show.
        """
        self.application = self.application.having(self._replicas)

    def creating(self, name: str) -> None:
        """A container called *name* is somebody's who will `see` it, or give up."""
        self._creating.add(name)

    def given_up(self, name: str) -> None:
        """There is no such container after all."""
        self._creating.discard(name)

    def _take_in(self, container: Container, asked: int) -> Replica | None:
        if container.id in self._removed or container.name in self._creating:
            return None
        known = self._replicas.get(container.id)
        if known is not None and known.as_of > asked:
            # What was heard since is newer than this answer.
            return known
        return self.see(container, asked=asked)

    def see(
        self,
        container: Container,
        phase: Phase = Phase.UNCHECKED,
        asked: int | None = None,
    ) -> Replica:
        """
        Take in what *container* is now, or was at the moment *asked*.

        *phase* is for one not known before.
        """
        self._creating.discard(container.name)
        known = self._replicas.get(container.id)
        if known is None:
            known = self._new(container, phase)
            if container.state in NOT_AT_WORK:
                known.phase = Phase.GONE
                known.over(container.exit_code)
                if phase is Phase.STARTING:
                    self._count_end(known, container.exit_code)
                else:
                    # It had ended before anybody here looked.
                    known.termination = Termination.of(container, container.exit_code)
            elif container.state == "paused":
                known.phase = Phase.PAUSED
        elif container.state == "paused":
            known.container = container
            self.pause(known)
        elif container.state in ("exited", "dead"):
            known.container = container
            self._count_end(known, container.exit_code)
            self.lose(known, container.exit_code)
        elif container.running and not known.is_same_run(container):
            known = self._another_run(known, container)
        elif container.running and not known.is_where_it_was(container):
            known.container = container
            self.recheck(known)
        else:
            known.container = container
            self._go_on(known)
        known.as_of = next(self._moments) if asked is None else asked
        if container.running:
            self.runs(known)
        return known

    def _new(self, container: Container, phase: Phase) -> Replica:
        replica = Replica(container, phase, self.health_tracker, self.mappings)
        self._replicas[container.id] = replica
        self.changed.set()
        return replica

    def _another_run(self, known: Replica, container: Container) -> Replica:
        """It was started, again or for the first time."""
        if known.phase in (Phase.STARTING, Phase.LEAVING) and not known.backends:
            known.container = container
            return known
        if known.phase is not Phase.LEAVING:
            log.warning("Container was restarted", extra={"container": known.name})
        self._count_end(known, known.exit_code)
        self.lose(known, None)
        return self._new(container, Phase.UNCHECKED)

    def _count_end(self, replica: Replica, exit_code: int | None) -> None:
        """Count the end of its run, once, unless it was told to end."""
        if replica.termination is None and replica.phase is not Phase.LEAVING:
            replica.termination = self.terminations.record(replica.container, exit_code)

    def recheck(self, replica: Replica) -> None:
        """It may be elsewhere now: it serves again once it was checked anew."""
        self.table.lose(replica)
        if replica.phase > Phase.STARTING:
            replica.phase = Phase.UNCHECKED
        replica.as_of = next(self._moments)
        self.changed.set()

    def pause(self, replica: Replica) -> None:
        """It is frozen: it gets nothing new, and keeps what it has."""
        if replica.phase > Phase.LEAVING and replica.phase is not Phase.STARTING:
            if replica.phase is not Phase.PAUSED:
                log.warning("Replica is paused", extra=self.tell(replica))
            self.table.drop([replica])
            replica.phase = Phase.PAUSED
            replica.as_of = next(self._moments)
            self.changed.set()

    def _go_on(self, replica: Replica) -> None:
        if replica.container.running and replica.phase is Phase.PAUSED:
            replica.phase = Phase.UNCHECKED
            self.changed.set()

    def lose(self, replica: Replica, exit_code: int | None) -> None:
        """Its run is over: nothing goes there any more."""
        served, replica.served = replica.served, False
        self.table.lose(replica)
        replica.as_of = next(self._moments)
        if replica.phase is Phase.GONE:
            return
        # Whoever waits for its readiness, or for its end, deals with it.
        if replica.phase not in (Phase.STARTING, Phase.LEAVING):
            replica.phase = Phase.GONE
        replica.over(exit_code)
        self.changed.set()
        if served and replica.phase is not Phase.LEAVING:
            self.died(replica)

    def forget(self, container: str) -> None:
        """There is no such container any more."""
        replica = self._replicas.pop(container, None)
        if replica is not None:
            self._count_end(replica, replica.exit_code)
            self.lose(replica, None)
            self.changed.set()

    def admit(self, replicas: Iterable[Replica]) -> None:
        """Those that are ready get connections from now on."""
        ready = [each for each in replicas if each.phase is Phase.READY]
        entering = [each for each in ready if not each.dead.is_set()]
        for replica in entering:
            assert replica.upstream is not None
            self.table.leave_open(replica.backends.values())
            replica.enter(self.table.ports, replica.upstream)
            replica.phase = Phase.SERVING
            replica.served = True
        self.table.add(entering)
        for replica in entering:
            log.info("Replica serves", extra=self.tell(replica))

    def dismiss(self, replicas: Iterable[Replica]) -> list[Replica]:
        """They get no connections any more, in one swap; who they were."""
        leaving = [each for each in replicas if each.phase is not Phase.LEAVING]
        self.table.drop(leaving)
        for replica in leaving:
            replica.phase = Phase.LEAVING
        return leaving

    async def remove(self, replica: Replica) -> None:
        """
        Remove its container; what it was told to be is forgotten.

        Raises:
            EngineError: the engine did not.
        """
        # An inspection that was under way may still show it.
        self._removed.add(replica.id)
        try:
            await self.engine.remove(replica.id)
        except BaseException:
            self._removed.discard(replica.id)
            raise
        self.forget(replica.id)
        log.info("Removed container", extra=self.tell(replica))

    async def orphan(self, replica: Replica) -> None:
        """
        It could not be removed. Dead, it does no harm, and the next look finds it
        again; but somebody may have started it meanwhile.
        """
        if self.get(replica.id) is replica:
            self.forget(replica.id)
        with suppress(EngineError):
            container = await self.engine.inspect(replica.id)
            if container is not None and container.running:
                self.see(container)

    async def tail(self, container: str, lines: int = 50) -> tuple[str, ...]:
        """The last lines of its output; none if the engine does not tell."""
        try:
            return await self.engine.logs(container, lines)
        except EngineError as exc:
            log.warning("Log not read", extra={"error": str(exc)})
            return ()

    def tell(self, replica: Replica, **more: object) -> dict[str, object]:
        """What a log record says of *replica*."""
        upstream = replica.upstream.route if replica.upstream else ""
        return {
            "container": replica.name,
            "tag": replica.version,
            "upstream": upstream,
            **more,
        }
