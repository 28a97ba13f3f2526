"""
Generations: one serves, another may be starting, older ones drain.

Only one switch is open at a time, and the serving generation is healed meanwhile:
before any generation is started, `current` is pointed at its release.

Locks are taken in this order, and none is waited for while a later one is held:
`deploying`, `switching`, `placing`, then that of a trial and `moving` of the releases,
and last that of the state's file. Healing takes `placing` alone, since a switch may be
open for minutes; whoever wants `current` waits for `placing` about a second at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path

from ..config import Endpoint
from ..errors import DeploymentError, RestartCalledOff, StartFailed
from ..histogram import DRAIN_BOUNDS, Checks, Histogram
from .backoff import Deaths
from .candidate import Candidate, Step, wait_executed, wait_ready
from .environment import EnvDir, EnvFiles, environment, pinned, release_of
from .policy import Policy
from .probe import FirstAnswer, answering
from .sockets import Listeners
from .worker import Worker, afforded, cancel

log = logging.getLogger(__name__)

SETTLING = 1.0
KILLED = 5.0  # seconds to be gone after SIGKILL; what hangs in the kernel never is


class Generations:
    """
    Running copies of *program* on *listeners*.

    Args:
        program: The command line; a path in it is resolved anew by each
            generation, so that moving a link moves the program.

        record: Called after every change with the generations that live, before a new
            one becomes the program.

        prepare: Points `current` at the release that runs, according to the state;
            awaited before a generation of it is started.

        release: Returns the release directory that runs, according to the state; ""
            where that is not known.

    Attributes:
        serving: Generation in service; it may have died a moment ago.

        workers: Living generations, with `starting`, `serving` or `draining`.

        first_answer: Wait for it where a generation took over unchecked.

        switching: Held while a switch is open.

        deploying: Held while another release is tried; no restart waits before it.

        placing: Held from when `current` is pointed at a release until its program
            was started from there.

        changed: Set when another generation came into service.

        hurry: Set to kill draining generations instead of waiting for them.

        deaths: Generations that ended by themselves while they served.

        restarts: Number of switches without another release.

        drains: Seconds from the stop signal to the end.

        checks: Health checks made.

        watches: Each returns a phrase for every problem that it found.
    """

    def __init__(
        self,
        program: Sequence[str],
        root: Path,
        listeners: Listeners,
        policy: Policy,
        *,
        capture: bool,
        notifies: bool,
        record: Step,
        prepare: Step | None = None,
        release: Callable[[], str] = str,
        hurry: asyncio.Event | None = None,
        env_files: Sequence[str] = (),
    ) -> None:
        self.policy = policy
        self.serving: Worker | None = None
        self.workers: dict[Worker, str] = {}
        self.switching = asyncio.Lock()
        self.deploying = asyncio.Lock()
        self.placing = asyncio.Lock()
        self.changed = asyncio.Event()
        self.hurry = hurry or asyncio.Event()
        self._program = tuple(program)
        self._root = root
        self._listeners = listeners
        self._capture = capture
        self._notified = notifies
        self._record = record
        self._prepare = prepare or _nothing
        self._release = release
        self._candidate: Candidate | None = None
        self._restarting: set[asyncio.Task[bool]] = set()
        self._respawning: asyncio.Task[None] | None = None
        self._count = 0
        self._envdir = EnvDir(root)
        self._env_files = EnvFiles(root, env_files)
        self._run = secrets.token_hex(4)
        self.first_answer = FirstAnswer(self.serves)
        self.deaths = Deaths()
        self.restarts = 0
        self.watches: list[Callable[[], Sequence[str]]] = []
        self.drains = Histogram(DRAIN_BOUNDS)
        self.checks = Checks()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        """Whether a generation serves at this moment."""
        return self.serving is not None and self.serving.alive

    @property
    def notifies(self) -> bool:
        """Whether any generation ever sent READY=1."""
        if self.serving is not None and self.serving.notify.ready.is_set():
            self._notified = True
        return self._notified

    @asynccontextmanager
    async def switch(
        self, progress: Callable[[str], None] = lambda text: None
    ) -> AsyncIterator[Candidate]:
        """
        Open a switch to a new generation, which `Candidate.start` starts.

        Left without an error, the new generation is in service and the old one retires;
        with an error, the new one is gone and the old one untouched.
        """
        candidate = Candidate(self.start_beside, self._prepare, progress)
        failed: asyncio.Task[None] | None = None
        try:
            async with self.switching:
                self._candidate = candidate
                try:
                    yield candidate
                except BaseException:
                    if candidate.worker is not None:
                        failed = self._retire(candidate.worker)
                    raise
                finally:
                    self._candidate = None
                    candidate.over.set()
                if candidate.worker is not None:
                    self._install(candidate.worker, checked=candidate.checked)
        except Exception:
            # Its files may go as soon as this raises, so it has to be gone first;
            # those of one that cannot be killed are in use.
            if failed is not None:
                await asyncio.wait({failed}, timeout=self.policy.stop_timeout + KILLED)
            raise

    async def restart(self, *, checked: bool = True) -> bool:
        """
        Replace the serving generation by a new one of the release that should run.

        Return False where no generation serves or was being started. Unless *checked*,
        its health is not checked.

        Raises:
            RestartCalledOff: another release is to run.
            StartFailed: the new generation is gone, the old one untouched.
        """
        while True:
            async with self.deploying:
                before = self.serving
            task = asyncio.create_task(self._restart(checked), name="restart")
            self._restarting.add(task)
            try:
                await asyncio.wait({task})
            finally:
                self._restarting.discard(task)
                await cancel(task)
            if not task.cancelled():
                return task.result()
            again = self.deploying.locked()
            async with self.deploying:
                if not again or before is not self.serving:
                    raise RestartCalledOff("another release is to run")

    async def _restart(self, checked: bool) -> bool:
        async with self.switch() as candidate:
            if self.serving is None:
                return False
            await candidate.start(checked=checked)
        # One that is not checked leads back to another release.
        self.restarts += checked
        return True

    async def call_off_restart(self) -> None:
        """Cancel any restart that is open or waits, for another release is to run."""
        for task in tuple(self._restarting):
            await cancel(task)

    @property
    def misplaced(self) -> bool:
        """Whether what serves is, for good, of another release than the state says."""
        serving, switching = self.serving, self.switching.locked()
        return bool(serving and serving.alive and not switching) and self._is_stale(
            serving
        )

    def _is_stale(self, worker: Worker | None) -> bool:
        wanted = self._release()
        return bool(worker and wanted and worker.release not in ("", wanted))

    def _require_current(self, candidate: Candidate) -> None:
        """Refuse a restart whose release was left while it started."""
        if not candidate.changes and self._is_stale(candidate.worker):
            raise RestartCalledOff("another release is to run by now", host=True)

    async def start_beside(self, candidate: Candidate) -> None:
        """
        Start *candidate*'s generation; return once it is ready and healthy.

        Raises:
            DeploymentError: the generation failed; leaving the switch ends it.
        """
        async with self.placing:
            await candidate.place()
            worker = self._new_worker()
            candidate.begin(worker)
            await self._launch(worker)
        await self._await_ready(worker, notifies=self.notifies)
        candidate.progress(f"generation {worker.generation} is ready")
        if candidate.checked:
            await self._check(worker, candidate.progress)
        self._require_current(candidate)
        await self._end_respawn()
        async with self.placing:
            await candidate.place()
        self._require_current(candidate)
        if not worker.alive:
            raise worker.failure("ended")
        candidate.ready.set()

    async def respawn(self) -> None:
        """
        Start a generation where none lives, without a health check.

        READY=1 is required with `--ready notify` only. Nothing happens if the
        generation of an open switch takes over first.

        Raises:
            StartFailed: the generation did not get ready. It is `serving` all the same,
                so that the supervisor answers its death too.
        """
        if self._candidate and self._candidate.ready.is_set():
            await self._candidate.over.wait()
        if self.alive:
            return
        task = asyncio.create_task(self._respawn(), name="respawn")
        self._respawning = task
        try:
            await asyncio.wait({task})
        finally:
            await self._end_respawn()
        if not task.cancelled():
            return task.result()
        if self._candidate:
            # It has called this off in order to take over.
            await self._candidate.over.wait()

    async def _end_respawn(self) -> None:
        task, self._respawning = self._respawning, None
        if task:
            await cancel(task)

    async def _respawn(self) -> None:
        worker = self._new_worker()
        gone, self.serving = self.serving, worker
        if gone is not None:
            self._retire(gone)
        ready: asyncio.Task[None] | None = None
        try:
            # Without waiting for READY=1 from a program that may never have sent it,
            # such as the one a rollback leads to: nothing else serves meanwhile.
            async with self.placing, self._placed_again():
                await self._prepared()
                await self._launch(worker)
                ready = asyncio.create_task(
                    self._await_ready(worker, notifies=False), name="respawn readiness"
                )
                # A deployment that wants `current` waits for no more than this.
                await asyncio.wait({ready}, timeout=SETTLING)
                await self._settle(worker)
            await ready
        except BaseException as exc:
            if ready:
                await cancel(ready)
            if isinstance(exc, asyncio.CancelledError):
                worker.call_off()
            self._retire(worker)
            self.changed.set()
            raise
        self.serving = None
        self._install(worker, checked=False)

    async def _prepared(self) -> None:
        try:
            await self._prepare()
        except DeploymentError as exc:
            text = f"not started from another release: {exc}"
            raise StartFailed(text, host=True) from exc

    async def _settle(self, worker: Worker) -> None:
        """Leave `current` alone while a program unable to notify may still load."""
        if self._candidate and not worker.notify.ready.is_set():
            remaining = worker.since + SETTLING - worker.loop.time()
            await worker.unless_ended(asyncio.sleep(max(0.0, remaining)))

    @asynccontextmanager
    async def _placed_again(self) -> AsyncIterator[None]:
        """Point `current` back at what an open switch tries, if it was before."""
        try:
            yield
        finally:
            candidate = self._candidate
            if candidate and candidate.worker:
                try:
                    await candidate.place()
                except DeploymentError as exc:
                    log.warning("Current not moved", extra={"error": str(exc)})

    @property
    def starts(self) -> bool:
        """Whether what is to serve is not known to answer yet, and nothing else was."""
        return bool(self.serving and self.workers.get(self.serving) == "starting")

    def degraded(self) -> list[str]:
        """Return a phrase for each problem."""
        serving, lives = self.serving, None
        problem = serving.unhealthy if serving else ""
        starting = self.starts and not problem and "the program is starting"
        if serving is not None and serving.alive:
            lives = serving.loop.time() - serving.since
        unhealthy = problem and f"the program is unhealthy: {problem}"
        trouble = self.deaths.trouble(lives)
        watched = chain.from_iterable(watch() for watch in self.watches)
        told = (starting, self._strange, trouble, unhealthy, *watched)
        return [text for text in told if text]

    @property
    def _strange(self) -> str:
        """A phrase if what serves is not of the release that runs by the state."""
        serving, candidate = self.serving, self._candidate
        if not serving or not serving.alive or (candidate and candidate.changes):
            return ""
        other = "the program that serves is of another release"
        return other if self._is_stale(serving) else ""

    @property
    def health_endpoint(self) -> Endpoint | None:
        """Address of health checks; None without a TCP port."""
        return self._listeners.health_endpoint

    @property
    def addresses(self) -> list[str]:
        """Addresses at which the program is reached, whichever generation serves."""
        return self._listeners.addresses

    @property
    def captures(self) -> bool:
        """Whether the program's output passes through dewy."""
        return self._capture

    def leaders(self) -> frozenset[int]:
        """Return the first process of each living generation."""
        return frozenset(worker.pid for worker in self.workers)

    def releases(self) -> frozenset[str]:
        """Return the release directories of the living generations."""
        return frozenset(worker.release for worker in self.workers)

    async def stop(self) -> None:
        """Send SIGTERM to all, and SIGKILL after the stop time-out; idempotent."""
        serving, self.serving = self.serving, None
        if serving is not None:
            self._notified |= serving.notify.ready.is_set()
            self._retire(serving)
        await self.first_answer.close()
        while self._retiring:
            await asyncio.wait(self._retiring)
        await self._envdir.close()
        await self._env_files.close()

    def kill(self) -> None:
        """Send SIGKILL to all living generations; may be called in any thread."""
        for worker in list(self.workers):
            worker.kill()

    def _new_worker(self) -> Worker:
        self._count += 1
        with afforded():
            worker = Worker(self._count, capture=self._capture)
        self.workers[worker] = "starting"
        return worker

    async def _launch(self, worker: Worker) -> None:
        given = os.environ | await self._envdir.read(os.environ.get("ENVDIR", ""))
        variables = environment(
            given | await self._env_files.read(),
            generation=worker.generation,
            names=self._listeners.names,
            notify=worker.notify.address,
            mark=f"{worker.generation}@{self._run}@{self._root}",
        )
        descriptors = self._listeners.descriptors
        release = await asyncio.to_thread(release_of, self._root)
        program = await asyncio.to_thread(pinned, self._program, self._root)
        with afforded():
            worker.spawn(program, self._root, variables, descriptors, release)
        await self._record()
        # Whoever wants `current` waits no longer for a program on a mount that hangs.
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING):
                await worker.go(self._program[0])

    async def _await_ready(self, worker: Worker, *, notifies: bool) -> None:
        await wait_executed(worker, self.policy, self._program[0])
        await wait_ready(worker, self.policy, notifies=notifies)
        self._notified |= worker.notify.ready.is_set()

    async def _check(self, worker: Worker, progress: Callable[[str], None]) -> None:
        policy, address = self.policy, self._listeners.lowest
        if policy.health_path and address:
            progress(f"waiting for GET {policy.health_path}")
            await answering(worker, address, policy, self.checks)
        if policy.kill_old_delay and self.alive and not self.starts:
            await worker.unless_ended(asyncio.sleep(policy.kill_old_delay))

    def _install(self, worker: Worker, *, checked: bool) -> None:
        old, self.serving = self.serving, worker
        self._listeners.restore()
        if old is not None:
            if old.release != worker.release:
                self.deaths.end_row()
            self._retire(old)
        self.changed.set()
        address = self.policy.health_path and self._listeners.lowest
        if checked or not address:
            return self.serves(worker)
        self.first_answer.expect(worker, address, self.policy, self.checks)

    def serves(self, worker: Worker) -> None:
        """Note that *worker* answers, if it is what serves."""
        if worker is self.serving and self.starts:
            self.workers[worker] = "serving"
            fields = {"generation": worker.generation, "pid": worker.pid}
            log.info("Generation took over", extra=fields)

    def _retire(self, worker: Worker) -> asyncio.Task[None]:
        self.workers[worker] = "draining"
        task = asyncio.create_task(
            self._end(worker), name=f"generation {worker.generation} drain"
        )
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _end(self, worker: Worker) -> None:
        begun, lived = worker.loop.time(), worker.alive
        try:
            await worker.stop(self.policy.stop_timeout, self.hurry)
            if lived:
                self.drains.add(worker.loop.time() - begun)
        finally:
            self.workers.pop(worker, None)
            self._listeners.restore()
            await self._record()


async def _nothing() -> None:
    """Do nothing: there is nothing to prepare."""
