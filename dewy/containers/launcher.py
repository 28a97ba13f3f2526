"""Start of a replica, and the wait until it is ready for connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import EngineError, NameTaken, StartFailed
from ..histogram import CheckResult, Checks
from .container_spec import ContainerSpec
from .engines.errors import blames_image
from .health import LATE, HealthCheck, with_usual_cause
from .model import Container
from .replica import Replica
from .replica_store import ReplicaStore
from .rollout import Phase
from .terminations import describe_end
from .upstream import Upstream, Upstreams

__all__ = ["Launcher", "ReadinessProbe"]

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
NAMES_TRIED = 5
LAST_CHANCE = 0.1  # seconds that a check has at least, however late it begins
MOVED = "its address has changed"
NO_ADDRESS = "it has no address that could be reached"
UNHEALTHY = "its HEALTHCHECK says unhealthy"


@dataclass(frozen=True, slots=True)
class ReadinessProbe:
    """
    Readiness probe of a replica.

    Attributes:
        check: The health check to pass.

        timeout: Seconds within which it has to become healthy.

        min_healthy: Seconds for which it has to stay healthy, in addition to `timeout`.
    """

    check: HealthCheck
    timeout: float
    min_healthy: float

    def again(self, seconds: float) -> Self:
        """
        Return the probe of a replica that has served: its start-up is over.
        """
        return replace(self, timeout=min(seconds, self.timeout), min_healthy=0.0)

    def or_easier(self, other: Self) -> Self:
        """Return this probe, with the times of *other* where those ask for less."""
        timeout = max(self.timeout, other.timeout)
        min_healthy = min(self.min_healthy, other.min_healthy)
        return replace(self, timeout=timeout, min_healthy=min_healthy)


class Launcher:
    """
    Launcher of *store*'s replicas, which also finds out whether they are ready.

    Attributes:
        checks: Number of checks by outcome.
    """

    def __init__(self, store: ReplicaStore, upstreams: Upstreams) -> None:
        self._store = store
        # Cancelled starts, and what is being started.
        self._strays: dict[asyncio.Task[Replica], str] = {}
        self.upstreams = upstreams
        self.checks = Checks()

    async def ensure_network(self, container_spec: ContainerSpec) -> None:
        """
        Create the application's own network, where replicas are to be in it.

        Raises:
            EngineError: the engine did not create it.
        """
        if network := container_spec.network:
            await self._store.engine.create_network(network, {"dewy.managed": "true"})

    async def start(self, container_spec: ContainerSpec, index: int) -> Replica:
        """
        Return a new replica, running.

        Engines complete a call once it is made. A cancelled start returns at once; the
        replica is `UNCHECKED` as soon as it is known, so that it can be ended.

        Raises:
            StartFailed: the replica could not be started; nothing of it is left.
            EngineError: a call to the engine failed.
        """
        starting = asyncio.create_task(
            self._start(container_spec, index), name=f"replica {index} at the engine"
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._strays[starting] = container_spec.spec
            starting.add_done_callback(self._left_alone)
            raise

    def _left_alone(self, starting: asyncio.Task[Replica]) -> None:
        del self._strays[starting]
        if not starting.cancelled() and not starting.exception():
            starting.result().stop_waiting()
            self._store.changed.set()

    def discard(self, spec: str, end: Callable[[Replica], None]) -> None:
        """Have *end* called with each replica of *spec* that is still being created."""

        def ended(starting: asyncio.Task[Replica]) -> None:
            if not starting.cancelled() and not starting.exception():
                end(starting.result())

        for starting, made_from in self._strays.items():
            if made_from == spec:
                starting.add_done_callback(ended)

    async def ended(self) -> None:
        """Return when no cancelled start is under way."""
        while self._strays:
            await asyncio.wait(self._strays)

    async def stop(self) -> None:
        """Give up; a replica the engine still starts is left to the next dewy."""
        for starting in self._strays:
            starting.cancel()
        await self.ended()

    async def _start(self, container_spec: ContainerSpec, index: int) -> Replica:
        engine = self._store.engine
        self._refuse_stray(index)
        name, container = await self._create(container_spec, index)
        try:
            self._refuse_stray(index)
            await engine.start(container)
            found = await engine.inspect(container)
            if found is None:
                raise StartFailed(f"replica {index} was removed as it started")
        except (EngineError, StartFailed) as exc:
            tail = await self._store.tail(container)
            await self._store.discard(container)
            raise StartFailed(
                f"replica {index}: {exc}",
                log_tail=tail,
                host=isinstance(exc, EngineError) and not blames_image(str(exc)),
            ) from exc
        finally:
            self._store.given_up(name)
        replica = self._store.see(found, Phase.STARTING)
        log.info("Started container", extra=self._store.tell(replica, number=index))
        return replica

    def _refuse_stray(self, index: int) -> None:
        """Raise if the start was cancelled while the engine was asked."""
        if asyncio.current_task() in self._strays:
            raise StartFailed(f"the start of replica {index} was cancelled", host=True)

    async def _create(
        self, container_spec: ContainerSpec, index: int
    ) -> tuple[str, str]:
        """Create the container; return its name and its id."""
        for attempt in range(NAMES_TRIED):
            name = container_spec.name(index, attempt)
            # A rollout and the healing beside it may come to the same name.
            if not self._store.creating(name):
                continue
            body = container_spec.body(index)
            told = {
                "container": name,
                "tag": container_spec.version.tag,
                "image": body.get("Image", ""),
            }
            log.info("Starting new container", extra=told)
            try:
                return name, await container_spec.create(name, index)
            except NameTaken:
                self._store.given_up(name)
            except BaseException:
                self._store.given_up(name)
                raise
        raise StartFailed(f"replica {index}: every name tried is taken", host=True)

    async def until_ready(self, replica: Replica, readiness: ReadinessProbe) -> None:
        """
        Return once *replica* has been healthy for long enough; its upstream is set.

        Raises:
            StartFailed: the replica ended, or was not ready in time; with its last
                lines.
        """
        replica.await_readiness()
        waiting = asyncio.create_task(
            self._healthy(replica, readiness), name=f"readiness of {replica.name}"
        )
        try:
            either: set[asyncio.Future[Any]] = {waiting, replica.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if replica.ended.done():
                raise await self._ended_early(replica)
            replica.ready(waiting.result())
        except (StartFailed, EngineError) as exc:
            tail = await self._store.tail(replica.id)
            host = isinstance(exc, EngineError) or exc.host
            raise StartFailed(str(exc), log_tail=tail, host=host) from exc
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _ended_early(self, replica: Replica) -> StartFailed:
        """Return the failure of *replica*, which ended; an inspection tells why."""
        told = False
        with suppress(EngineError):
            await self._store.look_at(replica.id)
            told = True
        # An engine that is away may have taken it along.
        text = f"replica {replica.name} {_end(replica)}"
        return StartFailed(text, host=not told)

    async def _healthy(self, replica: Replica, readiness: ReadinessProbe) -> Upstream:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + readiness.timeout, FIRST_PAUSE
        since: float | None = None
        while True:
            if replica.dead.is_set():
                # The engine tells how it ended, sooner or later.
                await asyncio.wait({replica.ended})
            limit = deadline if since is None else deadline + readiness.min_healthy
            # A first check has a chance, however late it begins.
            limit = max(limit, loop.time() + LAST_CHANCE)
            upstream = await replica.until(limit, self.ask(replica, readiness.check))
            now = loop.time()
            if upstream is None:
                since = None
                if now >= deadline or _is_lost(replica):
                    raise _unready(replica, readiness)
                pause = min(pause * 2, LONGEST_PAUSE, deadline - now)
            else:
                since = now if since is None else since
                left = since + readiness.min_healthy - now
                if left <= 0:
                    return upstream
                if now >= deadline + readiness.min_healthy:
                    raise _unready(replica, readiness)
                pause = min(left, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def ask(self, replica: Replica, check: HealthCheck) -> Upstream | None:
        """Return the upstream by which *replica* answers; it notes the result."""
        route = await replica.while_it_lives(self._asked(replica, check))
        self.checks.count(route is not None)
        return route

    async def _asked(self, replica: Replica, check: HealthCheck) -> Upstream | None:
        if replica.phase is Phase.STARTING and (
            replica.problem or not replica.container.published
        ):
            # Ports are published a moment after the start; and its end may have been
            # missed.
            await self._store.look_at(replica.id)
        if problem := await self._own_check(replica.container):
            replica.failed(CheckResult(problem))
            return None
        route, result, problems = await self._tried(replica, check)
        told = "; ".join(problems)
        if route is None:
            # The last way may be a copying process, which hides what is wrong.
            replica.failed(result, told)
            return None
        if told and not replica.detour:
            fields = self._store.tell(replica, route=route.route, error=told)
            log.warning("Replica does not answer at its own address", extra=fields)
        replica.passed(result, detour=told)
        return route

    async def reach(self, replica: Replica, check: HealthCheck) -> Upstream | None:
        """
        Return the same as `ask`, whatever the HEALTHCHECK of the image says.

        The result is no verdict on *replica*, which does not note it.
        """
        tried = await replica.while_it_lives(self._tried(replica, check))
        return tried and tried[0]

    async def _tried(
        self, replica: Replica, check: HealthCheck
    ) -> tuple[Upstream | None, CheckResult, list[str]]:
        """Return the first upstream that answers, its result, and others' problems."""
        ports = tuple(replica.ports.values())
        routes = await self.upstreams.of(replica.container, ports, check.upstream)
        result, problems = CheckResult(NO_ADDRESS), list[str]()
        for route in routes:
            result = await check.ask(route.endpoints)
            if not result.problem and not route.leads_to(replica.container):
                # Another container may have answered that was given its address.
                result = replace(result, problem=MOVED)
            if not result.problem:
                return route, result, problems
            problems.append(result.problem)
            if LATE in result.problem and replica.phase is Phase.SERVING:
                # It hangs: trying another way only delays the verdict.
                break
        return None, result, problems

    async def _own_check(self, container: Container) -> str:
        """Return the problem that the image's HEALTHCHECK reports; "" if none."""
        if not container.health:
            return ""
        done = await self._store.engine.check_health(container.id)
        if done is not None:
            return "" if done else UNHEALTHY
        found = await self._store.engine.inspect(container.id)
        health = found.health if found else ""
        if health == "starting":
            return "its HEALTHCHECK has not succeeded yet"
        return UNHEALTHY if health == "unhealthy" else ""


def _is_lost(replica: Replica) -> bool:
    """Return whether *replica*, which has served, has lost its address for good."""
    return replica.served and replica.problem == NO_ADDRESS


def _end(replica: Replica) -> str:
    code = replica.exit_code
    if replica.container.oom_killed:
        return "was killed for its use of memory before it was ready"
    how = "" if code is None else f" with {describe_end(code)}"
    return f"ended{how} before it was ready"


def _unready(replica: Replica, readiness: ReadinessProbe) -> StartFailed:
    why = (
        with_usual_cause(replica.problem)
        or f"it did not stay so for {readiness.min_healthy:g} s"
    )
    text = f"replica {replica.name} was not healthy in {readiness.timeout:g} s: {why}"
    last = replica.last_check
    return StartFailed(text, host=bool(last and last.unasked))
