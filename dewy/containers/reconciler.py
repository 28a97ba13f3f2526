"""
The reconciler of the replicas: events, inspections, replacements.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, Self

from ..errors import DewyError, EngineError
from ..logs import detail_of, summary, words_of
from ..proxy import Backend
from ..system import is_cancelled
from .deployer import ContainerDeployer
from .health_keeper import HealthKeeper
from .model import Event
from .replica import Replica
from .revision import ended
from .rollout import Phase
from .terminations import Termination
from .update import Circumstances
from .upstream import PUBLISHED

__all__ = ["Failed", "Reconciler", "Troubled"]

log = logging.getLogger(__name__)

FIRST_LOOK = 15.0
"""Limit in seconds of the wait for the registry's first answer, before any replica is
replaced while one serves: a deployment that an earlier dewy left half done may be
finished then. It also limits the wait for adoption before the registry is asked."""

LOOKS = 30.0  # seconds between two relists, when nothing happens
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
LAST_WORDS = 3.0  # seconds for the engine to tell how a replica ended, and why

OVER = frozenset({"die", "destroy", "remove"})
ASKED = frozenset({"kill", "stop", "restart", "destroy", "remove"})
HARMLESS = frozenset(
    text
    for name in ("HUP", "USR1", "USR2", "CONT", "STOP", "TSTP", "WINCH", "URG", "CHLD")
    for text in (f"SIG{name}", str(int(signal.Signals[f"SIG{name}"])))
)
"""Signals that tell programs something other than to end, as engines write them."""

PROBLEMS = {
    "replicas": ("Replicas are missing", "Replicas are complete again"),
    "engine": ("Engine does not answer", "Engine answers again"),
    "health": ("No replica is healthy", "Replicas are healthy again"),
}
"""Messages of each problem, as it begins and as it ends."""

Failed = Callable[[Replica, str, tuple[str, ...], str], Awaitable[bool]]
Work = Callable[[], Coroutine[Any, Any, None]]
Troubled = Callable[[str, bool], None]


class Reconciler:
    """
    Reconciler of the replicas, at work while entered.

    Args:
        failed: Awaited with a replica that ended by itself, or with which its version
            failed otherwise, with the manner, its last lines, and the verb for it. It
            may have another release run from now on, and then returns True. It is not
            called for replicas that the engine was asked to end, nor for those that
            ended while the engine was away: a restart of the engine may take them
            along, which says nothing about them.

        troubled: Called with one line on what is wrong with the replicas, and when that
            is over.
    """

    def __init__(
        self,
        deployer: ContainerDeployer,
        failed: Failed,
        troubled: Troubled,
        on_probation: Callable[[], bool] = lambda: False,
    ) -> None:
        self._deployer = deployer
        self._store = deployer.store
        self._failed = failed
        self._troubled = troubled
        self._looked = asyncio.Event()
        self._polls_well = True
        self._tried = asyncio.Event()
        self._undecided = 0
        self._examined = 0  # deaths whose causes are not known yet
        self._parts: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._problems: dict[str, str] = {}
        self._last_death = ""
        self.health = HealthKeeper(
            deployer,
            self._judge,
            lambda text: self._say("health", text),
            on_probation,
        )

    @property
    def problem(self) -> str:
        """Description of the problem in one line, or ""."""
        told = (f"{PROBLEMS[of][0]}: {text}" for of, text in self._problems.items())
        return "; ".join(told)

    @property
    def crash_loop(self) -> str:
        """Description of deaths in a row in one phrase, or ""."""
        row = self._deployer.pacing.row
        told = f"replicas keep dying: {row} times in a row, {self._last_death}"
        return told if row > 1 else ""

    def undecided(self) -> bool:
        """Return whether the running version may be about to fail its probation."""
        # A busy engine may tell of an end seconds after the process has left.
        untold = any(
            each.dead.is_set() and not each.ended.done()
            for each in self._store.replicas
            if each.served and each.phase is not Phase.LEAVING
        )
        return untold or self._examined > 0 or self.health.undecided()

    async def __aenter__(self) -> Self:
        self._store.died.append(self._mourn)
        bodies = {
            "engine events": self._watch,
            "list of replicas": self._relist,
            "replicas": self._keep,
            "replica health": self.health.run,
        }
        self._parts = [
            asyncio.create_task(_on_and_on(body, name), name=name)
            for name, body in bodies.items()
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._store.died.remove(self._mourn)
        tasks = [*self._parts, *self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def registry_answered(self, *, well: bool = True) -> None:
        """
        Note that the registry was asked once, and whether the poll went *well*.

        The first good poll after bad ones has missing replicas started at once: their
        images may be had again.
        """
        self._looked.set()
        if well and not self._polls_well:
            self._deployer.look_again()
        self._polls_well = well

    async def begun(self) -> None:
        """Return once replicas left by an earlier dewy serve, or adoption was tried."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK):
                await self._tried.wait()

    async def probe(self, backend: Backend) -> bool:
        """
        Return whether a suspected *backend* is to be used again.

        An inspection has to show that very run of the container, and it has to answer;
        a connection alone could be answered by another holder of its address.
        """
        replica = self._store.by_backend(backend)
        if replica is None:
            return True
        if replica.upstream is not None and replica.upstream.route == PUBLISHED:
            # A published port accepts connections for it, dead or alive.
            backend.eject()
        try:
            if await self._store.look_at(replica.id) is not replica:
                return True
            return await self.health.ask(replica) and replica.health_tracker.healthy
        except EngineError as exc:
            log.debug("Replica not inspected", extra={"error": str(exc)})
            return False

    async def _watch(self) -> None:
        selector = self._store.application.selector
        async with self._store.engine.events(selector) as events:
            async for event in events:
                self._heed(event)

    def _heed(self, event: Event) -> None:
        """Act at once on an event that cannot wait for the next inspection."""
        if event.action in ("lost", "connected"):
            connected = event.action == "connected"
            self._store.link.change(connected=connected)
            if connected:
                self._deployer.look_again()
            return
        replica = self._store.get(event.id)
        if replica is not None and _was_asked_to_end(event):
            replica.asked.set()
        if event.action in OVER and replica is not None:
            code = int(event.detail) if event.detail.lstrip("-").isdigit() else None
            # Out of the table first, before its address is another's.
            self._store.lose(replica, code)
        elif event.action == "oom" and replica is not None:
            # Its end follows, and the engine may be too busy to tell more of that.
            replica.mark_oom_killed()
        elif event.action == "pause" and replica is not None:
            self._store.pause(replica)
            self._look_at(event.id)
        elif event.action == "disconnect" and replica is not None:
            if replica.is_reached_by(event.detail):
                self._store.recheck(replica)
            self._look_at(event.id)
        elif event.action in ("start", "unpause", "rename", "connect") or (
            replica is None and event.id
        ):
            self._look_at(event.id)

    def _look_at(self, container: str) -> None:
        async def look() -> None:
            with suppress(EngineError):
                await self._store.look_at(container)

        self._spawn(look, f"look at {container[:12]}")

    def _spawn(self, work: Work, name: str) -> None:
        task = asyncio.create_task(_withstood(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relist(self) -> None:
        """Compare the known replicas with the engine's: now and then, and on doubt."""
        failures = 0
        while True:
            known, changes = self._store.doubts.count, self._store.link.changes
            try:
                await self._store.observe()
            except EngineError as exc:
                failures += 1
                self._say("engine", summary(exc))
            else:
                failures = 0
                self._say("engine", "")
                self._store.link.inspected(changes)
            pause = min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if failures else LOOKS):
                    await self._store.doubts.since(known)

    def _mourn(self, replica: Replica) -> None:
        self._undecided += 1
        self._examined += 1
        if not self._store.serving:
            # Failures to start another one beside those that served are over.
            self._deployer.relent()
        name = f"death of {replica.name}"
        self._spawn(lambda: self._answer_death(replica), name)

    async def _answer_death(self, replica: Replica) -> None:
        with ExitStack() as holding:
            holding.callback(self._decided)
            try:
                await self._answer(replica, holding.close)
            finally:
                self._examined -= 1

    def _decided(self) -> None:
        self._undecided -= 1
        self._store.changed.set()

    async def _answer(self, replica: Replica, heal: Callable[[], None]) -> None:
        # At once: its last lines go when it is removed, and so does why it ended.
        tail, inspected = await self._last_words(replica)
        out_of_memory = replica.container.oom_killed
        away = replica.unseen or not (inspected or out_of_memory)
        code = replica.ended.result()
        end = replica.termination or Termination.of(replica.container, code)
        # Healing goes on where that takes long to find out, but leaves the container.
        asked = not (away or out_of_memory) and await self._store.asked_to_end(
            replica, end.exit_code, heal
        )
        told = self._store.tell(
            replica,
            exit_code=code,
            reason=end.reason,
            engine_away=away,
            asked_for=asked,
        )
        if words := words_of(tail):
            told["last_line"] = words
        log.warning("Replica died", extra=told)
        if asked or (away and replica.asked.is_set()):
            return
        if replica.spec != self._deployer.target:
            # A version that is still to take over holds up nothing that runs.
            self._deployer.count_death(replica)
            lived = asyncio.get_running_loop().time() - replica.since
            self._last_death = f"{replica.name} last ({end.how}) after {lived:.1f} s"
        if away:
            # No verdict; but a slow engine must not make a crash loop a fast one.
            return
        await self._judge(replica, f"replica {replica.name}: {end.how}", tail)

    async def _judge(
        self, replica: Replica, how: str, tail: tuple[str, ...], verb: str = "died"
    ) -> None:
        if await self._failed(replica, how, tail, verb):
            # The replicas started now are not those that failed.
            self._deployer.start_afresh()
            self._store.changed.set()

    async def _last_words(self, replica: Replica) -> tuple[tuple[str, ...], bool]:
        """Return its last lines, and whether the engine told how it ended."""
        tail: tuple[str, ...] = ()
        inspected = False
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._store.look_at(replica.id)
                inspected = True
                tail = await self._store.tail(replica.id)
        return tail, inspected

    async def _keep(self) -> None:
        await self._until_registry_answered()
        given = Circumstances(
            held=lambda: self._undecided > 0,
            pacing=self._deployer.pacing,
            told=self._missing,
            idle=self._tried.set,
        )
        while True:
            known = self._store.changed.count
            try:
                known = await self._deployer.reconcile(given)
                pause = LOOKS
            except (DewyError, OSError) as exc:
                self._deployer.pacing.failed()
                self._missing(summary(exc), detail_of(exc))
                pause = self._deployer.pacing.left
            self._tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._store.changed.since(known)

    async def _until_registry_answered(self) -> None:
        """Wait for the registry, while a replica serves and for a limited time."""
        if self._store.serving:
            self._tried.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK):
                while self._store.serving and not self._looked.is_set():
                    known = self._store.changed.count
                    looked = asyncio.create_task(self._looked.wait(), name="registry")
                    try:
                        await self._store.changed.since_or_done(known, {looked})
                    finally:
                        await ended({looked})

    def _missing(self, problem: str, detail: str) -> None:
        self._tried.set()
        self._say("replicas", problem, detail)

    def _say(self, about: str, problem: str, detail: str = "") -> None:
        """Report a change of the problem, once; *detail* is for the log alone."""
        before = self._problems.get(about, "")
        if problem == before:
            return
        self._problems.pop(about, None)
        begins, ends = PROBLEMS[about]
        if problem:
            self._problems[about] = problem
            error = ": ".join(filter(None, (problem, detail)))
            log.error(begins, extra={"error": error})
            self._troubled(f"{begins}: {problem}", False)
        else:
            log.info(ends)
            self._troubled(ends, True)


def _was_asked_to_end(event: Event) -> bool:
    return event.action in ASKED and not (
        event.action == "kill" and event.detail in HARMLESS
    )


async def _withstood(work: Work, name: str) -> None:
    try:
        await work()
    except (Exception, asyncio.CancelledError) as exc:
        if isinstance(exc, asyncio.CancelledError) and is_cancelled():
            raise
        log.exception("Keeping replicas ran into a fault", extra={"part": name})


async def _on_and_on(body: Work, name: str) -> None:
    """Run *body*, which never returns, again whenever an internal fault ends it."""
    while True:
        await _withstood(body, name)
        await asyncio.sleep(FIRST_PAUSE)
