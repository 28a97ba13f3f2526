"""
The replicas of an application, as the engine shows them.

Reports of the engine between inspections are hints; an inspection decides. A container
that died leaves the table before anything else happens, for its address may be given to
another at once; only an inspection brings it back.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from itertools import count

from ..config import Reloadable, Settings
from ..errors import EngineError
from ..proxy import Backend
from .application import Application, is_copy
from .model import Container, Engine
from .replica import Replica
from .revision import Revision
from .rollout import Observed, Phase
from .table import ReplicaTable
from .terminations import Termination, TerminationLog

__all__ = ["ReplicaStore"]

log = logging.getLogger(__name__)

NOT_AT_WORK = frozenset({"created", "exited", "dead", "removing"})

AFTERWARDS = 0.5  # seconds after an end in which Podman reports that it was requested
ON_REQUEST = frozenset({0, 128 + signal.SIGTERM, 128 + signal.SIGKILL})
"""Exit statuses of programs that were told to end, and of some that were not."""
LONG_AFTERWARDS = 3.0  # seconds for the same on a busy host, after such a status


class EventLink:
    """
    State of the engine's events.

    Attributes:
        away: Whether they are lost, or were until replicas were inspected since.

        changes: Number of times they were lost or came back.
    """

    def __init__(self) -> None:
        self.away = False
        self.changes = 0
        self._connected = True

    def change(self, *, connected: bool) -> None:
        """Note that the events are lost, or come again."""
        self.away, self._connected = True, connected
        self.changes += 1

    def inspected(self, since: int) -> None:
        """Note that replicas were inspected that may have ended since that change."""
        if self._connected and since == self.changes:
            self.away = False


class ReplicaStore:
    """
    Store of every container of *application*.

    Args:
    Attributes:
        changed: Counts a change whenever there may be something to do.

        died: Each is called with a replica that was in the table and has ended.

        runs: Each is called with every replica that is seen running.

        link: State of the engine's events.

        doubts: Counts a doubt whenever everything is to be inspected.

        terminations: Ends of replicas that this dewy had not requested.
    """

    def __init__(
        self,
        engine: Engine,
        application: Application,
        table: ReplicaTable,
        settings: Reloadable[Settings],
    ) -> None:
        self.engine = engine
        self.application = application
        self.table = table
        self._settings = settings
        self.changed = Revision()
        self.died: list[Callable[[Replica], None]] = []
        self.runs: list[Callable[[Replica], None]] = []
        self.link = EventLink()
        self.doubts = Revision()
        self.terminations = TerminationLog()
        self._replicas: dict[str, Replica] = {}
        self._creating: set[str] = set()
        self._removed: dict[str, float] = {}
        self._listed = 0
        self._copies: set[str] = set()
        self._silent: set[str] = set()
        self._moments = count()

    def __repr__(self) -> str:
        replicas = list(self._replicas.values())
        return f"<ReplicaStore of {self.application.name}: {replicas}>"

    @property
    def replicas(self) -> list[Replica]:
        """Replicas in any phase."""
        return list(self._replicas.values())

    @property
    def serving(self) -> list[Replica]:
        """Replicas in the table."""
        return [r for r in self.replicas if r.evident_phase is Phase.SERVING]

    def addresses(self) -> set[str]:
        """Return the IP addresses of all containers that are not known to be dead."""
        alive = (r.container for r in self.replicas if not r.dead.is_set())
        return {address for each in alive for address in each.addresses.values()}

    def snapshot(self) -> list[Observed]:
        """Return the replicas in the form the reconciler decides on."""
        return [replica.seen for replica in self.replicas]

    def get(self, container: str) -> Replica | None:
        """Return the replica in the container of that id."""
        return self._replicas.get(container)

    def by_backend(self, backend: Backend) -> Replica | None:
        """Return the replica that *backend* leads to."""
        every = self._replicas.values()
        return next((r for r in every if backend in r.backends.values()), None)

    async def observe(self) -> None:
        """
        Inspect all containers, and take in the changes.

        Raises:
            EngineError: the engine did not answer; nothing changed.
        """
        before, asked = set(self._replicas), next(self._moments)
        found = await self.engine.containers(self.application.selector)
        ours = {each.id: each for each in found if self.application.owns(each)}
        self._tell_copies(found)
        for container in ours.values():
            self._take_in(container, asked)
        # Inspections of before the last list have ended by now.
        known = self._removed.items()
        self._removed = {i: moment for i, moment in known if moment > self._listed}
        self._listed = asked
        # A container not listed may have been created while the list was made.
        await self._look_at_all(before - set(ours), answers=bool(ours))

    async def _look_at_all(self, missing: Collection[str], *, answers: bool) -> None:
        """
        Inspect what was not shown, by an engine that *answers* as to the others.

        The inspection of one may hang for ever, which costs that one alone.
        """
        looks = (self.look_at(each) for each in missing)
        shown = await asyncio.gather(*looks, return_exceptions=True)
        silent: dict[str, str] = {}
        for container, failed in zip(missing, shown, strict=True):
            if isinstance(failed, EngineError) and answers:
                silent[container] = str(failed)
            elif isinstance(failed, BaseException):
                raise failed
        self._tell_silent(silent)

    def _tell_silent(self, silent: Mapping[str, str]) -> None:
        """Log, once per container, that it cannot be inspected though others can."""
        for container in silent.keys() - self._silent:
            told = {"container": container[:12], "error": silent[container]}
            log.warning("Container not inspected", extra=told)
        self._silent = set(silent)

    def _tell_copies(self, found: Iterable[Container]) -> None:
        """Log, once per container, that it has a replica's labels but is not one."""
        copies = {each.id: each.name for each in found if is_copy(each)}
        for name in (copies[each] for each in copies.keys() - self._copies):
            log.warning(
                "Container has a replica's labels and another image; it is left alone",
                extra={"container": name},
            )
        self._copies = set(copies)

    async def look_at(self, container: str) -> Replica | None:
        """Inspect one container, as `observe` does all."""
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
        """
        Drop a container that was given to another owner: it is alive, but not ours.
        """
        replica = self._replicas.pop(container, None)
        if replica is not None:
            replica.disown()
            self.lose(replica, None)

    def claim(self) -> None:
        """
        Take ownership of the containers found.

        Containers that other roots create from now on belong to another dewy, in a
        network namespace where the lock does not show.
        """
        self.application = self.application.having(self._replicas)

    def creating(self, name: str) -> bool:
        """
        Announce that *name* is being created; `see` or `given_up` follows.

        Return False, and announce nothing, if somebody else is creating it.
        """
        if name in self._creating:
            return False
        self._creating.add(name)
        return True

    def given_up(self, name: str) -> None:
        """Note that the container was not created after all."""
        self._creating.discard(name)

    def _take_in(self, container: Container, asked: int) -> Replica | None:
        if asked <= self._removed.get(container.id, -1):
            # Looked up before it was removed.
            return None
        if container.name in self._creating:
            return None
        known = self._replicas.get(container.id)
        if known is not None and known.as_of > asked:
            # Reports that came since are newer than this answer.
            return known
        return self.see(container, asked=asked)

    def see(
        self,
        container: Container,
        phase: Phase = Phase.UNCHECKED,
        asked: int | None = None,
    ) -> Replica:
        """
        Take in the state of *container*, now or as of the moment *asked*.

        *phase* is for a container not known before.
        """
        self._creating.discard(container.name)
        at = next(self._moments) if asked is None else asked
        known = self._replicas.get(container.id)
        if known is None:
            known = self._new(container, phase, at)
        elif container.running and not known.is_same_run(container):
            known = self._another_run(known, container, at)
        else:
            self._update(known, container, at)
        if container.running:
            for listener in self.runs:
                listener(known)
        return known

    def _update(self, known: Replica, container: Container, at: int) -> None:
        """Take in a further inspection of a run."""
        moved = container.running and not known.is_where_it_was(container)
        known.observe(container, at)
        if container.state == "paused":
            self.pause(known, at)
        elif container.state in ("exited", "dead"):
            known.record_end(self.terminations.record, container.exit_code)
            self.lose(known, container.exit_code, at)
        elif moved:
            self.recheck(known, at)
        elif known.resume():
            self.changed.set()

    def _new(self, container: Container, phase: Phase, at: int) -> Replica:
        ended = container.state in NOT_AT_WORK
        first = Phase.UNCHECKED if ended else phase
        replica = Replica(container, first, self._settings.current.port_mappings, at)
        self._replicas[container.id] = replica
        if ended:
            replica.end(container.exit_code, at, unseen=self.link.away)
            # Unless it was started just now, it had ended before it was inspected.
            started = phase is Phase.STARTING
            record = self.terminations.record if started else Termination.of
            replica.record_end(record, container.exit_code)
        elif container.state == "paused":
            self._freeze(replica, at)
        self.changed.set()
        return replica

    def _another_run(self, known: Replica, container: Container, at: int) -> Replica:
        """Replace *known* by a new run, as *container* was started again or first."""
        if known.phase in (Phase.STARTING, Phase.LEAVING) and not known.backends:
            known.observe(container, at)
            return known
        if known.phase is not Phase.LEAVING:
            log.warning("Container was restarted", extra={"container": known.name})
        known.record_end(self.terminations.record, known.exit_code)
        self.lose(known, None, at)
        return self._new(container, Phase.UNCHECKED, at)

    def recheck(self, replica: Replica, at: int | None = None) -> None:
        """
        Take it out of the table until a check passes: its address may have changed.
        """
        self.table.lose(replica)
        replica.recheck(next(self._moments) if at is None else at)
        self.changed.set()

    def pause(self, replica: Replica, at: int | None = None) -> None:
        """Take a frozen replica out of the table; its open connections stay."""
        if replica.phase > Phase.LEAVING and replica.phase is not Phase.STARTING:
            self.table.drop([replica])
            self._freeze(replica, next(self._moments) if at is None else at)
            self.changed.set()

    def _freeze(self, replica: Replica, at: int) -> None:
        if replica.phase is not Phase.PAUSED:
            log.warning("Replica is paused", extra=self.tell(replica))
        replica.pause(at)

    def presume_gone(self, replica: Replica) -> None:
        """Count *replica* as gone, whose process ended without the engine telling."""
        if not replica.served or replica.phase is Phase.LEAVING:
            return
        told = self.tell(replica)
        log.warning("Engine does not say how a replica ended", extra=told)
        replica.presume_gone()
        self.changed.set()

    def lose(
        self, replica: Replica, exit_code: int | None, at: int | None = None
    ) -> None:
        """End the run of *replica*: no connection goes there any more."""
        self.table.lose(replica)
        at, known = next(self._moments) if at is None else at, replica.phase
        died = replica.end(exit_code, at, unseen=self.link.away)
        if known is not Phase.GONE:
            self.changed.set()
        if died:
            for listener in self.died:
                listener(replica)

    def forget(self, container: str) -> None:
        """Forget a container that no longer exists."""
        replica = self._replicas.pop(container, None)
        if replica is not None:
            # Its own end would have left a container behind.
            replica.asked.set()
            replica.record_end(self.terminations.record, replica.exit_code)
            self.lose(replica, None)
            self.changed.set()

    def admit(self, replicas: Iterable[Replica]) -> None:
        """Admit those of *replicas* that are ready to the table."""
        ready = [each for each in replicas if each.phase is Phase.READY]
        entering = [each for each in ready if not each.dead.is_set()]
        for replica in entering:
            self.table.leave_open(replica.backends.values())
            replica.enter(self.table.ports)
        self.table.add(entering)
        for replica in entering:
            log.info("Replica serves", extra=self.tell(replica))

    def use_anyway(self, replica: Replica) -> None:
        """Let *replica* serve though it is not healthy: there is no other."""
        replica.mark_unhealthy()
        told = self.tell(replica, error=replica.problem)
        log.warning("Unhealthy replica serves, since no other does", extra=told)
        self.changed.set()

    def dismiss(self, replicas: Iterable[Replica]) -> list[Replica]:
        """
        Take *replicas* out of the table in one swap; return the newly leaving ones.
        """
        leaving = [each for each in replicas if each.phase is not Phase.LEAVING]
        self.table.drop(leaving)
        for replica in leaving:
            replica.leave()
        return leaving

    async def remove(self, replica: Replica) -> None:
        """
        Remove its container, and forget the replica.

        Raises:
            EngineError: the engine failed to remove it.
        """
        # An inspection that was under way may still show it; a later one that does
        # tells that the engine has not removed it after all.
        self._removed[replica.id] = math.inf
        try:
            await self._remove(replica.id)
        except BaseException:
            del self._removed[replica.id]
            raise
        self._removed[replica.id] = next(self._moments)
        self.forget(replica.id)
        log.info("Removed container", extra=self.tell(replica))

    async def discard(self, container: str) -> None:
        """Remove a container that has not become a replica, whatever it does."""
        try:
            await self._remove(container, force=True)
        except EngineError as exc:
            log.warning("Container not removed", extra={"error": str(exc)})
        self.forget(container)

    async def _remove(self, container: str, *, force: bool = False) -> None:
        kept = self._settings.current.keep_volumes
        await self.engine.remove(container, force=force, keep_volumes=kept)

    async def orphan(self, replica: Replica) -> None:
        """
        Forget a replica that could not be removed, unless it runs.

        Dead, it does no harm, and the next inspection finds it again; but it may have
        been started meanwhile.
        """
        if self.get(replica.id) is replica:
            self.forget(replica.id)
        with suppress(EngineError):
            container = await self.engine.inspect(replica.id)
            if container is not None and container.running:
                self.see(container)

    async def asked_to_end(
        self,
        replica: Replica,
        exit_code: int | None,
        doubt: Callable[[], None] = lambda: None,
    ) -> bool:
        """
        Return whether the engine was asked to end *replica*, which has ended.

        *doubt* is called where that takes seconds to find out; its container is kept
        meanwhile.
        """
        if self.engine.flavour == "podman":
            await _within(AFTERWARDS, replica.asked)
            if exit_code in ON_REQUEST and not replica.asked.is_set():
                # A stop shows when its cleaning up is completed, a removal by force
                # even later.
                with replica.in_doubt():
                    doubt()
                    await _within(LONG_AFTERWARDS, replica.asked)
                self.changed.set()
        return replica.asked.is_set()

    async def tail(self, container: str, lines: int = 50) -> tuple[str, ...]:
        """Return the last lines of its output; none if the engine does not answer."""
        try:
            return await self.engine.logs(container, lines)
        except EngineError as exc:
            log.warning("Log not read", extra={"error": str(exc)})
            return ()

    def tell(self, replica: Replica, **more: object) -> dict[str, object]:
        """Return the fields of a log record about *replica*."""
        upstream = replica.upstream.route if replica.upstream else ""
        return {
            "container": replica.name,
            "tag": replica.version,
            "upstream": upstream,
            **more,
        }


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for *event*, but no longer than *seconds*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
