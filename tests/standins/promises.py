"""The promises of a dewy, held against all that it does in `any_order`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dewy.containers.replica_set import ReplicaSet
from dewy.deploy.changes import Change
from dewy.deploy.state import State

if TYPE_CHECKING:
    from .any_order import World

GOOD, SICK, DEAF, CRASHES = "good", "sick", "deaf", "crashes"
"""Answers well, answers 503, never listens, ends at once."""

REPLICAS = 2

HEARD = 0.05
"""Seconds in which dewy has heard of a death, or of a write of its own."""


class Promises:
    """
    Watch a world, and collect what was broken.

    Attributes:
        faults: The promises broken, a sentence each.

        held_at: The version at which an operator was told that the root is held.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.faults: list[str] = []
        self.held_at: str | None = None
        self._asked_for: list[str | None] = []
        self._known: set[str] = set()
        self._promising: dict[str, Change] = {}
        self._written = State()
        self._held_since = 0.0

    @property
    def _replica_set(self) -> ReplicaSet:
        return self._world.replica_set

    def hold(self) -> None:
        """Note that an operator was told of a hold."""
        # Where nothing runs, the first version may still come.
        self.held_at = self._world.running or None
        # Going back within probation goes on under hold.
        self._known = {i.tag for i in self._world.life.agent.state.installed}

    @contextmanager
    def asking_for(self, tag: str | None) -> Iterator[None]:
        """Let *tag* start in the block, for an operator names it."""
        self._asked_for.append(tag)
        try:
            yield
        finally:
            self._asked_for.remove(tag)

    def excuse(self) -> None:
        """Excuse the candidates of the moment: the host makes trouble."""
        self._promising.clear()

    def starts(self, container: str) -> None:
        """Judge the start of a container."""
        world = self._world
        found = world.host.find(container)
        tag = found.container.labels["dewy.version"] if found else ""
        state, change = world.life.agent.state, world.life.change
        runs = state.running is not None and state.running.tag == tag
        if not runs and self._kept_out(state, tag):
            self.faults.append(f"{tag} was started although it is in quarantine")
        # A version that runs may be brought up again under hold.
        held = self._is_held(state, tag) and state.running is not None and not runs
        if held and self._began_under_hold(change, tag):
            self.faults.append(f"{tag} was started although {world.running} is held")

        if change and world.kinds.get(tag) == GOOD and not world.slow:
            self._promising[container] = change

    def _kept_out(self, state: State, tag: str) -> bool:
        """Return whether quarantine keeps *tag* out, and no operator names it."""
        release = self._world.registry.releases.get(tag)
        now = self._world.life.agent.clock.wall()
        identity = release.identity if release else ""
        entry = state.quarantine.blocking(tag, identity, now)
        return entry is not None and tag not in (*self._asked_for, state.wanted)

    def _began_under_hold(self, change: Change | None, tag: str) -> bool:
        """Return whether *change* deploys *tag* and began when hold was known."""
        if change is None or change.cancelled:
            return False
        attempt = change.attempt
        deploys = (attempt.action, attempt.target) == ("deploy", tag)
        return deploys and attempt.begun > self._held_since

    def stops(self, container: str) -> None:
        """Judge the stop of a container: what serves, or is about to, is left alone."""
        found = self._world.host.find(container)
        if found is None or not found.container.running:
            return
        store, version = self._replica_set.deployer.store, found.container.labels
        replica = store.get(found.container.id)
        if replica is not None and replica in self._replica_set.table:
            self.faults.append(f"{version['dewy.version']} was stopped while it served")
        change, target = (
            self._promising.get(container),
            self._replica_set.deployer.target,
        )
        if change is None or change is not self._world.life.change:
            return
        decided = change.cancelled or change.committed
        if not decided and version["dewy.spec"] == target:
            self.faults.append(f"a replica of {change.attempt.target} was stopped")

    def _is_held(self, state: State, tag: str) -> bool:
        """Dewy's own hold, not decided on yet, lets through what an operator names."""
        return state.hold and not (state.provisional and tag in self._asked_for)

    def writes(self, state: State) -> None:
        """Judge a state that is written after the one before it."""
        before, self._written = self._written, state
        if state.hold and not before.hold:
            self._held_since = self._world.life.agent.clock.monotonic()
        if state.running is None or state.running == before.running:
            return
        new = state.running.tag
        change = self._world.life.change
        deploys = (
            change is not None
            and change.committed
            and (change.attempt.action, change.attempt.target) == ("deploy", new)
        )
        # What runs may be deployed again, though it has just failed its probation.
        runs = before.running is not None and before.running.tag == new
        if deploys and not runs and self._kept_out(before, new):
            self.faults.append(f"{new} took over although it is in quarantine")
        held = self._is_held(before, new)
        if not held or before.running is None or runs:
            return
        # Going back goes on under hold; deploying does not, not even a kept version.
        if deploys or before.find(new) is None:
            self.faults.append(f"{new} took over although {before.running.tag} is held")

    async def check(self) -> None:
        """Judge what must be true all along."""
        world = self._world
        held, running = self.held_at, world.running
        on_hold = held is not None and world.life.agent.state.hold
        if on_hold and running not in self._known and key(running) > key(held or ""):
            self.faults.append(f"held at {held}, but {running} was deployed")
        for problem in (self._status_differs, self._table_differs):
            # What has just happened is heard of in a moment.
            if await problem():
                await asyncio.sleep(HEARD)
                self.faults += filter(None, [await problem()])
        self.faults += world.life.errors
        assert not self.faults, world.story()

    async def _status_differs(self) -> str:
        """What `status` says runs is what a dewy after `kill -9` would find."""
        told = await self._world.status()
        shown = told["running"]["tag"] if told["running"] else ""
        written = self._written.running.tag if self._written.running else ""
        if shown == written:
            return ""
        return f"status says that {shown or 'nothing'} runs, the disk {written}"

    async def _table_differs(self) -> str:
        """Whatever receives connections is alive, and status says that it serves."""
        table, host = self._replica_set.table, self._world.host
        told = (await self._world.status())["replicas"]
        serving = {each["id"] for each in told if each["phase"] == "serving"}
        live = [h for each in serving if (h := host.find(each)) and h.container.running]
        if len(table) == len(live) == len(serving):
            return ""
        return (
            f"{len(table)} receive connections, {len(serving)} serve by status, "
            f"{len(live)} of them live"
        )

    async def settled(self) -> str:
        """Return what is amiss once nothing happens any more; or ""."""
        world = self._world
        state = world.life.agent.state
        if world.life.change is not None:
            return "a change is still under way"
        good = [tag for tag, kind in world.kinds.items() if kind == GOOD]
        kept_out = {entry.tag for entry in state.quarantine if entry.until is None}
        if state.running is None:
            able = [tag for tag in good if tag not in kept_out]
            return f"nothing runs, and {able} could" if able else ""
        if world.running not in good:
            return f"{world.running} runs, and is {world.kinds[world.running]}"
        newest = max(world.kinds, key=key)
        follows = not (state.hold or state.back_at or newest in kept_out)
        if follows and newest in good and world.running != newest:
            return f"{newest} is newest, and {world.running} runs"
        if [world.running] * REPLICAS != world.serving:
            return f"{world.running} runs, and {world.serving} serve"
        answer = await world.ask()
        if answer != world.running:
            return f"{world.running} runs, and {answer} answers"
        return ""


def key(tag: str) -> tuple[int, ...]:
    """Order *tag* as a version."""
    return tuple(map(int, tag[1:].split("."))) if tag else ()
