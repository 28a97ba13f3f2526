"""
Generations: one serves, another may be starting, older ones drain.

Only one switch is open at a time. While it is, a serving generation that dies
is not started again: the new one takes over if it gets ready; if not, `undo`
has put the old release back before anything is started from it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from ..errors import StartFailed
from ..histogram import DRAIN_BOUNDS, Checks, Histogram
from ..logs import summary
from .environment import environment, read_envdir
from .policy import Policy
from .probe import Probe, wait_healthy
from .ready import wait_ready
from .sockets import Listeners
from .worker import Worker

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]


class Candidate:
    """
    The new generation of an open switch.

    Attributes:
        worker: The generation, once it was started.
    """

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self.worker: Worker | None = None

    async def start(self) -> None:
        """
        Start the generation; return once it is ready and healthy.

        Raises:
            StartFailed: it does not get ready.
        """
        await self._generations.start_beside(self)


class Generations:
    """
    The running copies of *program* on *listeners*.

    Args:
        program: The command line; a path in it is resolved anew by each
            generation, so that moving a link moves the program.

        record: Told after every change which generations live, before a new one
            becomes the program.

    Attributes:
        serving: The generation in service; it may have died a moment ago.

        workers: Every generation that lives, with `starting`, `serving` or
            `draining`.

        switching: Held while a switch is open.

        changed: Set when another generation came into service.

        hurry: Set to kill what still drains instead of waiting for it.

        deaths: How many ended by themselves while they served.

        restarts: How many took over without another release.

        drains: Seconds from the stop signal to the end.

        checks: Health checks made.
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
        hurry: asyncio.Event | None = None,
    ) -> None:
        self.policy = policy
        self.serving: Worker | None = None
        self.workers: dict[Worker, str] = {}
        self.switching = asyncio.Lock()
        self.changed = asyncio.Event()
        self.hurry = hurry or asyncio.Event()
        self._program = tuple(program)
        self._root = root
        self._listeners = listeners
        self._capture = capture
        self._notified = notifies
        self._record = record
        self._count = 0
        self.deaths = self.restarts = 0
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
    async def switch(self) -> AsyncIterator[Candidate]:
        """
        Open a switch to a new generation, which `Candidate.start` starts.

        Left without an error, the new one is in service and the old one retires;
        with one, the new one is gone, the old one untouched.
        """
        candidate = Candidate(self)
        failed: asyncio.Task[None] | None = None
        try:
            async with self.switching:
                try:
                    yield candidate
                except BaseException:
                    if candidate.worker is not None:
                        failed = self._retire(candidate.worker)
                    raise
                if candidate.worker is not None:
                    self._install(candidate.worker)
        except Exception:
            # Its files may go as soon as we raise, so it has to be gone first.
            if failed is not None:
                await asyncio.wait({failed})
            raise

    async def restart(self) -> None:
        """
        Replace the serving generation by a new one of the same program.

        Raises:
            StartFailed: the new generation is gone, the old one untouched.
        """
        async with self.switch() as candidate:
            await candidate.start()

    async def start_beside(self, candidate: Candidate) -> None:
        """
        Start *candidate*'s generation; return once it is ready and healthy.

        Raises:
            StartFailed: it is not; leaving the switch ends it.
        """
        candidate.worker = self._new_worker()
        await self._bring_up(candidate.worker, notifies=self.notifies)
        await self._check(candidate.worker)

    async def respawn(self) -> None:
        """
        Start a generation where none lives, without a health check.

        READY=1 is required with `--ready notify` only. Called with `switching` held.

        Raises:
            StartFailed: it did not get ready. It is `serving` all the same, so
                that whoever watches for deaths answers this one too.
        """
        worker = self._new_worker()
        gone, self.serving = self.serving, worker
        if gone is not None:
            self._retire(gone)
        try:
            # Not to wait for word from a program that may never have said it, such
            # as the one a rollback leads to: nothing else serves meanwhile.
            await self._bring_up(worker, notifies=False)
        except BaseException:
            self._retire(worker)
            self.changed.set()
            raise
        self.serving = None
        self._install(worker)

    @property
    def captures(self) -> bool:
        """Whether what the program writes comes by here."""
        return self._capture

    async def stop(self) -> None:
        """SIGTERM to all, SIGKILL after the stop time-out; idempotent."""
        serving, self.serving = self.serving, None
        if serving is not None:
            self._notified |= serving.notify.ready.is_set()
            self._retire(serving)
        while self._retiring:
            await asyncio.wait(self._retiring)

    def _new_worker(self) -> Worker:
        self._count += 1
        with _afforded():
            worker = Worker(self._count, capture=self._capture)
        self.workers[worker] = "starting"
        return worker

    async def _bring_up(self, worker: Worker, *, notifies: bool) -> None:
        variables = environment(
            await _base_environment(),
            generation=worker.generation,
            names=self._listeners.names,
            notify=worker.notify.address,
        )
        descriptors = self._listeners.descriptors
        with _afforded():
            worker.spawn(self._program, self._root, variables, descriptors)
        await self._record()
        await worker.go(self._program[0])
        await wait_ready(worker, self.policy, notifies=notifies)
        self._notified |= worker.notify.ready.is_set()

    async def _check(self, worker: Worker) -> None:
        policy, address = self.policy, self._listeners.lowest
        if policy.health_path and address:
            probe = Probe(
                policy.health_path, policy.health_timeout, host=policy.health_host
            )
            healthy = wait_healthy(address, probe, worker.pid, self.checks)
            await worker.unless_ended(healthy)
        if policy.kill_old_delay and self.alive:
            await worker.unless_ended(asyncio.sleep(policy.kill_old_delay))

    def _install(self, worker: Worker) -> None:
        old, self.serving = self.serving, worker
        self.workers[worker] = "serving"
        self._listeners.lengthen()
        if old is not None:
            self._retire(old)
        self.changed.set()
        log.info(
            "Generation took over",
            extra={"generation": worker.generation, "pid": worker.pid},
        )

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
            await self._record()


@contextmanager
def _afforded() -> Iterator[None]:
    """Turn a process, a pipe or a thread that cannot be had into StartFailed."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as exc:
        # RuntimeError: no thread; ValueError: a zero byte in the environment.
        raise StartFailed(
            f"the program cannot be started: {summary(exc)}", host=True
        ) from exc


async def _base_environment() -> dict[str, str]:
    base = dict(os.environ)
    if directory := base.get("ENVDIR"):
        with suppress(OSError):
            base |= await asyncio.to_thread(read_envdir, Path(directory))
    return base
