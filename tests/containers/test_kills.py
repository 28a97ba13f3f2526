"""A dewy that is killed, wherever, leaves nothing that the next one cannot use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dewy.containers.options.arguments import RunOptions
from dewy.deploy.state import State, StateFile
from dewy.release import Release
from tests.eventually import eventually
from tests.standins.crews import Bench, benched
from tests.standins.memory_host import MemoryHost

REPLICAS = 2
CHANGES = {"create", "start", "stop", "remove", "pull", "create_network"}
OTHERWISE = ("serve", "--otherwise")


class Killed(BaseException):
    """Nothing handles it, as nothing handles SIGKILL."""


@dataclass
class Killer:
    """
    Kills a dewy at its step number *at*, from when it is armed on.

    A dead dewy neither reaches the engine nor writes its state.
    """

    at: int
    every: bool
    armed: bool = False
    dead: bool = False
    steps: list[str] = field(default_factory=list)

    async def hook(self, phase: str, call: str, subject: str) -> None:
        self.passing(phase, call)

    def passing(self, phase: str, what: str) -> None:
        if self.dead:
            raise Killed
        if self.armed and (self.every or what in {*CHANGES, "write"}):
            self.steps.append(f"{phase} {what}")
            if len(self.steps) == self.at:
                self.dead = True
                raise Killed

    def file(self, private: Path) -> StateFile:
        killer = self

        class Mortal(StateFile):
            def write(self, state: State) -> None:
                killer.passing("before", "write")
                super().write(state)
                killer.passing("after", "write")

        return Mortal(private)


Act = Callable[[Bench, list[Release]], Awaitable[None]]


@dataclass(frozen=True)
class Story:
    """
    What a dewy was at.

    Attributes:
        before: The version that ran, if any.

        act: What it does when it is killed.

        after: The version that there is to be in the end.

        later: Settings of the next dewy.
    """

    before: str
    act: Act
    after: str
    later: dict[str, Any] = field(default_factory=dict)


async def deploy_v1(bench: Bench, releases: list[Release]) -> None:
    await bench.deploy(releases[0])
    await bench.replica_set.drainer.ended()


async def deploy_v2(bench: Bench, releases: list[Release]) -> None:
    await bench.deploy(releases[1])
    await bench.replica_set.drainer.ended()


async def heal(bench: Bench, releases: list[Release]) -> None:
    victim = bench.replica_set.deployer.store.serving[0].id
    await bench.host.kill(victim)
    await eventually(lambda: whole(bench, "v1") and victim not in bench.host.held)


async def change_options(bench: Bench, releases: list[Release]) -> None:
    old = set(bench.host.held)
    bench.replica_set.renew(replace(bench.settings, cmd=OTHERWISE), RunOptions())
    await eventually(lambda: whole(bench, "v1") and not old & set(bench.host.held))


STORIES = {
    "the first deployment": Story("", deploy_v1, "v1"),
    "an update": Story("v1", deploy_v2, "v2"),
    "replacing a replica": Story("v1", heal, "v1"),
    "a change of options": Story("v1", change_options, "v1", {"cmd": OTHERWISE}),
}


def whole(bench: Bench, version: str) -> bool:
    """There is one version, on as many replicas as there are to be, and no more."""
    wanted = [version] * REPLICAS
    held = bench.host.held.values()
    return (
        wanted == bench.running() == bench.serving()
        and len(held) == REPLICAS
        and len({each.container.labels["dewy.spec"] for each in held}) == 1
    )


def _pass_over_kills() -> None:
    """Nobody asks what became of the tasks of a dewy that was killed."""
    loop = asyncio.get_running_loop()
    otherwise = loop.get_exception_handler() or type(loop).default_exception_handler

    def heed(loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        if not isinstance(told.get("exception"), Killed):
            otherwise(loop, told)

    loop.set_exception_handler(heed)


async def killed(root: Path, story: Story, killer: Killer) -> MemoryHost | None:
    """The host on which a dewy was killed; None if it had done before that."""
    host = MemoryHost(str(root))
    host.hook = killer.hook
    given: dict[str, Any] = {"on_exit": "leave", "file": killer.file}
    async with benched(root, host, **given, **SETTINGS) as bench:
        releases = [bench.publish("v1"), bench.publish("v2")]
        if story.before:
            await bench.deploy(releases[0])
            assert whole(bench, story.before)
        killer.armed = True
        acting = asyncio.create_task(story.act(bench, releases), name="act")
        await eventually(lambda: killer.dead or acting.done())
        killer.armed = False
        acting.cancel()
        await asyncio.wait({acting})
        done = not killer.dead
        if done:
            acting.result()
        killer.dead = True
    host.hook = None
    if not done:
        return host
    for container in list(host.held):
        await host.kill(container)
    return None


async def revived(root: Path, story: Story, host: MemoryHost) -> None:
    """What the next dewy makes of it."""
    left = {i: h.container for i, h in host.held.items() if h.container.running}
    host.calls.clear()
    given = {**SETTINGS, **story.later}
    async with benched(root, host, answered=False, **given) as bench:
        if left:
            assert "create" not in {call for call, _ in host.calls}
            assert len(bench.serving()) > 0
            assert await bench.ask() in {c.labels["version"] for c in left.values()}
        await the_registry_answers(bench, story, host)
        await eventually(lambda: whole(bench, story.after))
        spec = {h.container.labels["dewy.spec"] for h in host.held.values()}
        good = {i for i, c in left.items() if c.labels["dewy.spec"] in spec}
        assert good <= set(host.held), bench.troubles
        started = sum(call == "start" for call, _ in host.calls)
        assert REPLICAS - len(good) == started
        assert all(c.restarts == 0 for c in left.values())
        assert story.after == await bench.ask()


async def the_registry_answers(bench: Bench, story: Story, host: MemoryHost) -> None:
    """As the agent does: deploy what is newest, unless it is what runs."""
    running = bench.state_store.state.running
    if running is None or running.tag != story.after:
        reference = f"registry.test/acme/shop:{story.after}"
        digest = host.registry[reference].image.digests[0].partition("@")[2]
        await bench.deploy(Release(story.after, f"img://{reference}", digest))
    assert bench.replica_set.reconciler is not None
    bench.replica_set.reconciler.registry_answered()


SETTINGS: dict[str, Any] = {
    "replicas": REPLICAS,
    "health_path": "/up",
    "drain_time": 1.0,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", STORIES)
async def test_a_kill_anywhere_is_made_good(name: str, soak: bool, tmp_path: Path):
    """Every step that changes something, before and after; all of them in a soak."""
    _pass_over_kills()
    story, at = STORIES[name], 0
    while True:
        at += 1
        killer = Killer(at, every=soak)
        root = tmp_path / str(at)
        root.mkdir()
        host = await killed(root, story, killer)
        if host is None:
            break
        try:
            await revived(root, story, host)
        except BaseException as exc:
            exc.add_note(f"killed at step {at}, {killer.steps[-1]}")
            raise
    assert at > 8
