"""Answers of a running dewy on its control socket."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..agent import Agent
from ..config.settings import app_name
from ..deploy import verbs
from ..deploy.changes import Attempt
from ..deploy.deployer import Progress
from ..deploy.history import History
from ..deploy.plan import quarantined
from ..errors import DewyError
from ..logs import summary
from ..operations import Operations
from ..polling import Poller
from ..supervisor.generations import Generations
from .logs import logs
from .recent_history import RecentHistory
from .status import ProcessStatus, status
from .verbs import VERBS, Operation, Request, Steering
from .why import answer, look

if TYPE_CHECKING:
    from ..containers.replica_set import ReplicaSet
    from ..proxy.port import Pausing

__all__ = ["Handlers"]

log = logging.getLogger(__name__)

Answer = dict[str, Any]


def _unheard(text: str) -> None:
    """Drop the steps."""


Reload = Callable[[], Awaitable[str]]


async def _unable() -> str:
    raise DewyError("this dewy cannot reread its configuration")


class Handlers:
    """
    The handlers of operators' requests to a running dewy.

    Attributes:
        admin_port: The port of the HTTP API; 0 without one.

    Args:
        generations: The supervised program, in server mode.

        replica_set: The replicas, in container mode.

        reload: Reads the configuration anew, or starts anew; what came of it.

        preview: Returns what *reload* would do.
    """

    def __init__(
        self,
        agent: Agent,
        poller: Poller,
        generations: Generations | None = None,
        replica_set: ReplicaSet | None = None,
        reload: Reload = _unable,
        preview: Reload = _unable,
    ) -> None:
        self.agent = agent
        self.poller = poller
        self._operations = Operations(agent)
        self._generations = generations
        self._replica_set = replica_set
        self.reload = reload
        self.preview = preview
        self.admin_port = 0
        self._past = RecentHistory(agent.settings.private)

    @property
    def generations(self) -> Generations | None:
        """The supervised program, in server mode."""
        return self._generations

    @property
    def replica_set(self) -> ReplicaSet | None:
        """The replicas, in container mode."""
        return self._replica_set

    def listens(self, admin_port: int) -> None:
        """Show that the HTTP API listens on *admin_port*."""
        self.admin_port = admin_port

    async def handle(
        self, verb: str, args: Mapping[str, Any], progress: Progress = _unheard
    ) -> Answer:
        """
        Answer one request of the control socket; *progress* is told each step.

        Raises:
            DewyError: the request cannot be carried out; the message says why.
            OSError: the state could not be written.
        """
        questions: dict[str, Callable[[Mapping[str, Any]], Awaitable[Answer]]] = {
            "status": lambda args: self.status(),
            "why": self._why,
            "logs": self._logs,
            "containers": self._list_containers,
        }
        if verb in questions:
            return await questions[verb](args)
        known, request = VERBS.get(verb), Request.of(args, progress)
        if isinstance(known, Steering):
            return {"message": await known.steer(self, request)}
        if not isinstance(known, Operation):
            raise DewyError(f"this dewy does not know {verb!r}; is it older?")
        message = await known.online(self._operations, request)
        if known.wakes:
            self.poller.wake()
        # The operator learns, too, that the disk does not hold it yet.
        unwritten = self.agent.state_store.unwritten
        return {"message": f"{message}; but it {unwritten}" if unwritten else message}

    def containers(self) -> list[Answer] | None:
        """Return the replicas, as the HTTP API tells them; None in other modes."""
        return self._replica_set.containers() if self._replica_set else None

    async def _why(self, args: Mapping[str, Any]) -> Answer:
        agent, version = self.agent, args.get("version") or ""
        grace = agent.settings.grace_period
        looked = await look(agent.registry, agent.clock.wall(), grace, version)
        history = History(agent.settings.private)
        told = await answer(version, agent.state, history, looked, agent.clock.wall())
        change = agent.changes.current
        if change is not None and change.attempt.target == version:
            being = f"is being deployed: {change.attempt.progress}"
            rest = [each for each in told["why"] if "next poll" not in each]
            told |= {"verdict": "deploying", "why": [being, *rest]}
        return told

    async def _logs(self, args: Mapping[str, Any]) -> Answer:
        command = self.agent.settings.command
        return await logs(command, self._generations, self._replica_set, args)

    async def _list_containers(self, _: Mapping[str, Any]) -> Answer:
        told: Answer = {"containers": self.containers()}
        if self._replica_set is not None:
            engine = self._replica_set.deployer.store.engine
            told["engine"] = {"flavour": engine.flavour, "address": engine.address}
        return told

    @property
    def pausing(self) -> Pausing:
        """
        The ports of the proxy.

        Raises:
            DewyError: this dewy has no proxy.
        """
        if self._replica_set is None:
            command = self.agent.settings.command
            raise DewyError(
                f"dewy {command} has no proxy; this is for dewy container "
                "and dewy proxy"
            )
        return self._replica_set.pausing

    async def status(self) -> Answer:
        """Return `admin.status.status` of this dewy."""
        agent = self.agent
        broken = await agent.state_store.broken()
        past, degraded = await self._read_past(), await self._degraded()
        # All the rest is of one moment: a change may end while the above is read.
        return status(
            agent.state,
            agent.clock.wall(),
            name=app_name(agent.settings.registry, agent.settings.name)
            or agent.settings.root.name,
            command=agent.settings.command,
            root=str(agent.settings.root),
            broken=broken,
            past=past,
            process=ProcessStatus(
                pid=os.getpid(),
                admin_port=self.admin_port,
                degraded=degraded,
                generations=self._describe_generations(),
                deaths=self._describe_deaths(),
                replicas=self.containers() or (),
                desired_replicas=self._replica_set.settings.replicas
                if self._replica_set
                else None,
                ports=self._describe_ports(),
                paused=self._replica_set is not None
                and self._replica_set.pausing.paused,
                next_poll=self.poller.next_at,
                last_poll=self.poller.last_at,
                last_error=self.poller.problem,
                last_detail=self.poller.detail,
                underway=self._underway(),
                follow_up=self._follow_up(),
                probation=agent.probation.left,
                status_reason=agent.status_reason,
                troubles=agent.deployment_log.troubles(),
                key=agent.key,
                newest=agent.newest.tag if agent.newest else "",
                passed_over=[
                    {"name": each.name, "reason": each.reason}
                    for each in agent.passed_over
                ],
            ),
        )

    async def _read_past(self) -> list[Answer]:
        try:
            return await asyncio.to_thread(self._past.read)
        except OSError as exc:
            log.debug("History not read", extra={"error": summary(exc)})
            return []

    async def _degraded(self) -> list[str]:
        agent = self.agent
        reasons = []
        if agent.state.running and not await agent.deployer.alive():
            reasons.append(f"{agent.state.running.name} does not run")
        if gone := agent.state.gone:
            reasons.append(f"{gone.name} is gone from this host until it is fetched")
        if agent.state_store.unwritten:
            reasons.append(f"the state {agent.state_store.unwritten}")
        if self._replica_set:
            reasons += self._replica_set.degraded()
        if self._generations:
            reasons += self._generations.degraded()
        newest = agent.newest
        entry = newest and agent.state.quarantine.find(newest.tag, newest.identity)
        if not entry or entry.reason == verbs.BY_OPERATOR:
            return reasons + self.poller.problems()
        return [*reasons, *self.poller.problems(entry.reason), quarantined(entry)]

    def _underway(self) -> Answer | None:
        change = self.agent.changes.current
        attempt = change.attempt if change else self._renewal()
        if attempt is None:
            return None
        return {
            "id": attempt.id,
            "tag": attempt.target,
            "previous": attempt.previous,
            "action": attempt.action,
            "why": attempt.why,
            "step": attempt.step,
            "progress": attempt.progress,
            "since": self._wall(attempt.begun),
        }

    def _follow_up(self) -> Answer | None:
        attempt = self.agent.follow_up.current
        if attempt is None or not attempt.marks:
            return None
        step, begun = attempt.marks[-1]
        named = {"id": attempt.id, "tag": attempt.target, "action": attempt.action}
        return {**named, "step": step, "since": self._wall(begun)}

    def _wall(self, at: float) -> float:
        """Return the seconds since the epoch of the monotonic *at*."""
        clock = self.agent.clock
        return round(clock.wall() - (clock.monotonic() - at), 3)

    def _renewal(self) -> Attempt | None:
        replica_set = self._replica_set
        return replica_set.deployer.renewal.current if replica_set else None

    def _describe_generations(self) -> list[Answer]:
        if self._generations is None:
            return []
        now = self.agent.clock
        return [
            {
                "generation": worker.generation,
                "pid": worker.pid,
                "state": state,
                "since": round(now.wall() - (worker.loop.time() - worker.since), 3),
                "status": worker.notify.status,
                "last_check": worker.last_check and worker.last_check.to_json(),
            }
            for worker, state in self._generations.workers.items()
        ]

    def _describe_ports(self) -> list[Answer]:
        if self._generations:
            return [{"address": each} for each in self._generations.addresses]
        return self._replica_set.ports() if self._replica_set else []

    def _describe_deaths(self) -> Answer | None:
        if self._generations is None:
            return None
        deaths = self._generations.deaths
        return {"total": deaths.total, "last": deaths.last and asdict(deaths.last)}
