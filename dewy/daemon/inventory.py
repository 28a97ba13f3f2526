"""Containers of an application, as figures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime

from ..containers.application import VERSION, image_name, index_of
from ..containers.model import Container
from ..containers.replica import Termination, TerminationLog
from ..containers.replica_set import ReplicaSet
from ..errors import EngineError
from ..telemetry.points import Point

__all__ = ["Inventory"]

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds for which an answer of the engine is good enough."""

PATIENCE = 2.0
STATES = ("created", "running", "paused", "restarting", "exited", "dead")
ENDED = frozenset({"exited", "dead"})


class Inventory:
    """Inventory of the engine's containers, with its answers kept for a moment."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._replica_set = replica_set
        self._store = replica_set.deployer.store
        self._containers: list[Container] | None = None
        self._asked: float | None = None
        self._asking = asyncio.Lock()

    async def ask(self) -> None:
        """Inspect all containers, unless that was done a moment ago."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked is not None and now - self._asked < PAUSE:
                return
            self._asked = now
            self._containers = None
            try:
                async with asyncio.timeout(PATIENCE):
                    selector = self._store.application.selector
                    found = await self._store.engine.containers(selector)
            except (EngineError, TimeoutError) as exc:
                log.debug("Containers not counted", extra={"error": str(exc)})
                return
            owned = self._store.application.owns
            self._containers = [each for each in found if owned(each)]

    def read(self) -> Iterator[Point]:
        """
        Yield points, as a source of figures; none of an engine that did not answer.
        """
        app = self._store.application.name
        wanted = self._replica_set.settings.replicas
        yield Point("dewy.container.desired_replicas", wanted, (app,))
        for reason, count in self._store.terminations.deaths.items():
            yield Point("dewy.container.deaths.total", count, (app, reason))
        if self._containers is None:
            return
        running = sum(each.running for each in self._containers)
        yield Point("dewy.container.replicas", running, (app,))
        for container in self._containers:
            yield from _of(container, app, self._store.terminations)
        for replica in self._store.serving:
            labels = _labels(replica.container, app)
            yield Point(
                "dewy.container.healthy", int(replica.health_tracker.healthy), labels
            )


def _labels(container: Container, app: str) -> tuple[str, ...]:
    index = index_of(container.labels)
    return app, container.name, str(index) if index >= 0 else ""


def _of(
    container: Container, app: str, terminations: TerminationLog
) -> Iterator[Point]:
    labels = _labels(container, app)
    version = container.labels.get(VERSION, "")
    index = index_of(container.labels)
    restarts = container.restarts + terminations.restarts(index, version)
    yield Point("dewy.container.info", 1, (*labels, image_name(container), version))
    yield Point("dewy.container.restarts", restarts, labels)
    for state in STATES:
        value = int(container.state == state)
        yield Point("dewy.container.status", value, (*labels, state))
    last = terminations.last(index)
    if container.state in ENDED:
        last = Termination.of(container, container.exit_code)
    if last is not None:
        if last.exit_code is not None:
            code = last.exit_code
            yield Point("dewy.container.last_terminated.exit_code", code, labels)
        yield Point("dewy.container.oom_killed", int(last.reason == "oom"), labels)
    if (started := _seconds(container.started_at)) is not None:
        yield Point("dewy.container.started.timestamp", started, labels)


def _seconds(text: str) -> float | None:
    """Return RFC 3339 as seconds since the epoch; None of zero or invalid times."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
