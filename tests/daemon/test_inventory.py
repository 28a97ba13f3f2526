"""The containers of an application, as figures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dewy.containers.application import Application
from dewy.containers.model import Container
from dewy.containers.terminations import TerminationLog
from dewy.errors import EngineError
from tests.needs import found, needs

if found("telemetry"):
    from dewy.daemon import measuring as module
    from dewy.daemon.measuring import Inventory

pytestmark = needs("telemetry")

LABELS = {
    "dewy.managed": "true",
    "dewy.app": "shop",
    "dewy.registry": "registry.test/acme/shop",
    "dewy.replica": "1",
    "dewy.version": "v2",
}
RUNS = Container(
    "a" * 64,
    "shop-1",
    "running",
    LABELS,
    "registry.test/acme/shop:v2",
    started_at="2031-02-03T04:05:06.123456789Z",
    restarts=3,
)
ENDED = replace(RUNS, id="b" * 64, name="shop-2", state="exited", exit_code=137)
KILLED = replace(ENDED, oom_killed=True)
FOREIGN = replace(RUNS, name="other", labels=LABELS | {"dewy.registry": "else/where"})
MADE = replace(RUNS, name="shop-3", state="created", started_at="0001-01-01T00:00:00Z")


class Engine:
    """Answers with *found*, fails with it, or hangs where it is None."""

    def __init__(self, found: list[Container] | Exception | None) -> None:
        self.found = found
        self.asked = 0

    async def containers(self, labels: object) -> list[Container]:
        self.asked += 1
        if self.found is None:
            await asyncio.Event().wait()
        if isinstance(self.found, Exception):
            raise self.found
        assert self.found is not None
        return self.found


def inventory(engine: Engine, terminations: TerminationLog) -> Inventory:
    store = SimpleNamespace(
        terminations=terminations,
        engine=engine,
        application=Application("shop", "registry.test/acme/shop"),
        serving=[
            SimpleNamespace(
                container=RUNS, health_tracker=SimpleNamespace(healthy=True)
            )
        ],
    )
    replica_set: Any = SimpleNamespace(
        deployer=SimpleNamespace(store=store), settings=SimpleNamespace(replicas=4)
    )
    return Inventory(replica_set)


async def figures(
    engine: Engine, terminations: TerminationLog | None = None
) -> dict[tuple[str, ...], Any]:
    looking = inventory(engine, terminations or TerminationLog())
    await looking.ask()
    return {(each.name, *each.labels): each.value for each in looking.read()}


async def test_every_container_of_ours_is_told() -> None:
    found = await figures(Engine([RUNS, MADE, FOREIGN]))

    one, three = ("shop", "shop-1", "1"), ("shop", "shop-3", "1")
    assert 4 == found["dewy.container.desired_replicas", "shop"]
    assert 1 == found["dewy.container.replicas", "shop"]
    assert 3 == found["dewy.container.restarts", *one]
    assert 1 == found["dewy.container.healthy", *one]
    image = ("registry.test/acme/shop:v2", "v2")
    assert 1 == found["dewy.container.info", *one, *image]
    assert 1927857906.123456 == found["dewy.container.started.timestamp", *one]
    assert ("dewy.container.started.timestamp", *three) not in found
    states = {key[-1]: v for key, v in found.items() if key[:4] == (STATUS, *three)}
    assert {"created"} == {state for state, value in states.items() if value}
    assert {"created", "running", "paused", "restarting", "exited", "dead"} == {*states}
    assert not [key for key in found if "other" in key]


STATUS = "dewy.container.status"


@pytest.mark.parametrize(("ended", "killed"), [(ENDED, 0), (KILLED, 1)])
async def test_end_is_told_of_those_that_ended(ended: Container, killed: int) -> None:
    """And of no others."""
    found = await figures(Engine([RUNS, ended]))

    two = ("shop", "shop-2", "1")
    assert 137 == found["dewy.container.last_terminated.exit_code", *two]
    assert killed == found["dewy.container.oom_killed", *two]
    assert 1 == len([key for key in found if key[0] == "dewy.container.oom_killed"])


@pytest.mark.parametrize("trouble", [EngineError("away"), None], ids=["fails", "hangs"])
async def test_engine_that_does_not_answer_is_not_guessed_about(
    trouble: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor waited for."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    told = {name for name, *_ in await figures(Engine(trouble))}
    assert {"dewy.container.desired_replicas", "dewy.container.deaths.total"} == told


async def test_death_is_told_of_replacement() -> None:
    """The container that died is gone; its replica and its application are not."""
    terminations = TerminationLog()
    terminations.record(KILLED, 137)
    terminations.record(replace(ENDED, exit_code=1), 1)
    found = await figures(Engine([RUNS]), terminations)

    one = ("shop", "shop-1", "1")
    assert 5 == found["dewy.container.restarts", *one]
    assert 1 == found["dewy.container.last_terminated.exit_code", *one]
    assert 0 == found["dewy.container.oom_killed", *one]
    assert [1, 0, 1, 0] == [
        found["dewy.container.deaths.total", "shop", reason]
        for reason in ("exit", "signal", "oom", "unknown")
    ]


async def test_engine_is_not_asked_at_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor by two at a time; a failure is no reason to hurry."""
    engine = Engine([RUNS])
    looking = inventory(engine, TerminationLog())
    await asyncio.gather(*(looking.ask() for _ in range(3)))
    assert 1 == engine.asked
    monkeypatch.setattr(module, "PAUSE", 0.0)
    await looking.ask()
    assert 2 == engine.asked
