"""Server mode: a program is supervised, on listeners that outlive its generations."""

from __future__ import annotations

import logging
from dataclasses import replace

from .. import boot
from ..agent import Agent
from ..deploy.ledger import Ledger
from ..deploy.releases import Releases
from ..deploy.state import Group
from ..errors import StartFailed
from ..supervisor.deployer import ServerDeployer
from ..supervisor.exits import describe_exit
from ..supervisor.generations import Generations
from ..supervisor.policy import Policy
from ..supervisor.sockets import open_listeners
from ..supervisor.supervisor import Supervisor
from ..supervisor.worker import Worker
from ..system import boot_id
from .ground import Ground

__all__ = ["supervise"]

log = logging.getLogger(__name__)


async def supervise(
    ground: Ground, agent: Agent, releases: Releases, policy: Policy
) -> Generations:
    """
    Listen, and start what the state says runs.

    Raises:
        DewyError: something can't be listened at.
    """
    settings, ledger = agent.settings, agent.ledger
    service, stack = ground.service, ground.stack
    service.extend(settings.stop_timeout * 2 + settings.start_timeout + 30)
    await boot.end_orphans(ledger.state.groups, settings.stop_timeout)
    listeners = stack.enter_context(
        await open_listeners(settings.ports, service.listeners(), settings.stop_timeout)
    )
    generations = Generations(
        settings.program,
        settings.root,
        listeners,
        policy,
        capture=settings.capture,
        notifies=ledger.state.notifies,
        record=lambda: _record(ledger, generations),
        hurry=ground.signals.hurry,
    )
    agent.deployer = deployer = ServerDeployer(releases, generations)

    async def died(worker: Worker) -> bool:
        how = describe_exit(worker.exited.result())
        moved = await agent.trial.verdict(how, worker.tail, deployer.put_back)
        agent.announce(agent.describe())
        return moved

    supervisor = await stack.enter_async_context(Supervisor(generations, died))
    ground.signals.restart = supervisor.restart
    if ledger.state.running is not None:
        try:
            await supervisor.start()
        except StartFailed as exc:
            log.error("Program did not start at boot", extra={"error": str(exc)})
    return generations


async def _record(ledger: Ledger, generations: Generations) -> None:
    boot_now = boot_id()
    groups = tuple(
        Group(worker.pid, worker.started, boot_now)
        for worker in generations.workers
        if worker.pid
    )
    notifies = generations.notifies
    await ledger.note(lambda state: replace(state, groups=groups, notifies=notifies))
