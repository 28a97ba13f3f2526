"""Server mode: a supervised program, on listeners that outlive its generations."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from dataclasses import replace

from .. import boot
from ..agent import Agent
from ..deploy.releases import Releases
from ..deploy.state import Group, Installed, State
from ..deploy.state_store import StateStore
from ..errors import DeploymentError, StartFailed
from ..logs import detailed
from ..notifiers import NoticeKind
from ..supervisor.accepting import AcceptWatch
from ..supervisor.deployer import ServerDeployer
from ..supervisor.generations import Generations
from ..supervisor.orphans import LeftPrograms, OrphanReaper, subreaper
from ..supervisor.policy import Policy
from ..supervisor.sockets import open_listeners
from ..supervisor.supervisor import Supervisor
from ..supervisor.worker import Worker
from ..system import boot_id
from .assets import Unpacked
from .inspection import inspecting, keep_link, keep_release
from .program_health import ProgramHealth
from .runtime import RunContext

__all__ = ["supervise"]

FOREIGN = 5.0
"""Seconds to wait for a port that other programs hold."""

log = logging.getLogger(__name__)


async def supervise(
    context: RunContext, unpacked: Unpacked, policy: Policy
) -> tuple[Agent, Generations]:
    """
    Listen, and start the release that runs by the state in a task: see `begin`.

    Return the agent that deploys others, and the generations of the program.

    Raises:
        DewyError: a listener cannot be opened.
    """
    settings, state_store = context.settings, unpacked.state_store
    releases = unpacked.releases
    service, stack = context.service, context.stack
    service.extend(settings.stop_timeout * 2 + settings.start_timeout + 30)
    groups = state_store.state.groups
    await boot.end_orphans(groups, settings.root, settings.stop_timeout)
    # What follows a deployment may go on after the listeners are closed.
    following = await stack.enter_async_context(AsyncExitStack())
    stack.enter_context(subreaper())
    left = LeftPrograms(settings.root, settings.stop_timeout)
    await stack.enter_async_context(left)
    offered, patience = service.listeners(), min(settings.stop_timeout, FOREIGN)
    listeners = stack.enter_context(
        await open_listeners(settings.ports, offered, patience, left.end)
    )
    stack.enter_context(listeners.watched())
    generations = Generations(
        settings.program,
        settings.root,
        listeners,
        policy,
        capture=settings.capture,
        notifies=state_store.state.notifies,
        record=lambda: _record(state_store, generations),
        prepare=lambda: _restore(agent, releases, generations),
        release=lambda: _running(state_store),
        hurry=context.signals.hurry,
        env_files=settings.env_files,
    )
    context.signals.on_kill(generations.kill)
    deployer = ServerDeployer(releases, generations)
    agent = await context.agent(
        state_store, unpacked.release_store, deployer, following
    )
    supervisor = Supervisor(generations, lambda worker: judge_death(agent, worker))
    await stack.enter_async_context(supervisor)
    accepting = AcceptWatch(
        generations, listeners, supervisor.restart, agent.deployment_log.tell
    )
    agent.probation.watch(
        lambda: (
            accepting.undecided
            or bool(generations.serving and generations.serving.unhealthy)
        )
    )
    reaper = OrphanReaper(generations.leaders)
    looks = (
        keep_link(state_store, releases),
        accepting.look,
        reaper.look,
        keep_release(generations, supervisor.restart),
    )
    await stack.enter_async_context(inspecting(*looks))
    context.signals.on_restart(supervisor.restart)
    if state_store.state.running is not None:
        context.begin(begin(supervisor))
    endpoint = generations.health_endpoint
    if settings.health_path and endpoint:
        health = ProgramHealth(agent, generations, endpoint)
        await stack.enter_async_context(health.watching())
    return agent, generations


async def begin(supervisor: Supervisor) -> None:
    """Start what is to run; a program that does not get ready is tried again later."""
    try:
        await supervisor.start()
    except StartFailed as exc:
        log.error("Program did not start at boot", extra={"error": detailed(exc)})
    except Exception:
        # An internal fault must not end the supervision of a program.
        log.exception("Program did not start at boot")


async def judge_death(agent: Agent, worker: Worker) -> bool:
    """
    Answer the death of *worker*; return whether another release is to run now.

    The death of a generation that a deployment has just replaced says nothing of the
    one that runs now.
    """
    running = agent.state.running
    if running and worker.release not in ("", running.directory):
        return False
    return await agent.judge(worker.ending, worker.tail)


def _running(state_store: StateStore) -> str:
    running = state_store.state.running
    return running.directory if running else ""


async def _restore(agent: Agent, releases: Releases, generations: Generations) -> None:
    """
    Point `current` at the release that runs by the state, wherever it was moved.

    Where its files are gone and nothing serves, the best kept release runs instead,
    until that one can be fetched.
    """
    running = agent.state.running
    if running is None:
        return
    try:
        await releases.restore(running.directory)
    except DeploymentError:
        serving = generations.serving
        # What is about to be started has no process yet.
        serves = serving is not None and serving.alive and bool(serving.pid)
        if serves or not await _stand_in(agent, releases, running):
            raise


async def _stand_in(agent: Agent, releases: Releases, gone: Installed) -> bool:
    """Let the best kept release run in place of *gone*; whether there is one."""
    installed = [each.directory for each in agent.state.installed]
    there = await releases.present(installed)

    def present(state: State) -> State:
        found = state.present(there)
        return found if found.running and state.running == gone else state

    back = (await agent.state_store.note(present)).running
    if back is None or back == gone:
        return False
    await releases.put_back(back.directory)
    log.error("Running release is gone", extra={"tag": gone.name, "to": back.name})
    text = f"{gone.name} is gone from this host; {back.name} runs until it is fetched"
    agent.deployment_log.tell(NoticeKind.ERROR, text)
    agent.announce(agent.describe())
    return True


async def _record(state_store: StateStore, generations: Generations) -> None:
    boot_now = boot_id()
    groups = tuple(
        Group(worker.pid, worker.started, boot_now)
        for worker in generations.workers
        if worker.pid
    )
    notifies = generations.notifies
    await state_store.note(
        lambda state: replace(state, groups=groups, notifies=notifies)
    )
