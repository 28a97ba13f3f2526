"""`kill -9` of dewy in the middle of a rolling update: the next one makes it good."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from dewy.admin.client import NotRunning
from tests.eventually import eventually
from tests.standins import roots
from tests.standins.container_site import ContainerDewy
from tests.standins.doomed import Doomed
from tests.standins.engines import RealEngine
from tests.standins.gates import Gate
from tests.standins.images import Publisher

Measured = Callable[[object], None]

ENGINE = "dewy.containers.engines.docker:DockerEngine"
STORE = "dewy.containers.replica_store:ReplicaStore"
PROBATION = "dewy.deploy.probation:Probation"
POINTS = {
    "after a replica was created": f"{ENGINE}.create:leave",
    "after a second one was started": f"{ENGINE}.start:leave:2",
    "after the first one was admitted": f"{STORE}.admit:leave:2",
    "after the new version was written down": f"{PROBATION}.begin:enter",
    "while old ones drain": "dewy.containers.drainer:Drainer._drain:enter:2",
    "while old ones are stopped": f"{ENGINE}.stop:leave",
}
OLD, NEW = "v1.0.0", "v1.1.0"
LOOKS, SETTLED = 4, 0.5
# Podman takes other ways through these two; the rest is dewy's own.
IN_PODMAN = ("after a replica was created", "while old ones are stopped")
CASES = [("docker", point) for point in POINTS] + [
    pytest.param(
        *("podman", point), marks=[pytest.mark.soak] if point not in IN_PODMAN else []
    )
    for point in POINTS
]


async def serving_versions(dewy: ContainerDewy) -> set[str]:
    """The versions that answer some connections through the proxy."""
    return {(await dewy.fetch("/version")) for _ in range(8)}


@pytest.mark.parametrize(("engine", "point"), CASES, indirect=["engine"])
async def test_dewy_killed_during_rollout_serves_and_completes_rollout(
    engine: RealEngine,
    publisher: Publisher,
    tmp_path,
    unused_tcp_port,
    measured: Measured,
    point: str,
) -> None:
    """Before it asks the registry, and before it makes a container."""
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(Gate(publisher.host))
        repository = engine.name("team") + "/app"
        dewy = Doomed(
            tmp_path,
            unused_tcp_port,
            engine=engine,
            publisher=publisher,
            repository=repository,
            registry_url=f"img://{gate.place}/{repository}",
            replicas=2,
            options=["--on-exit", "leave"],
        )
        await dewy.push(OLD)
        async with dewy:
            await dewy.serves(OLD)
            await dewy.alone(OLD)
        await dewy.push(NEW)

        dewy.point = POINTS[point]
        await dewy.start()
        stack.push_async_callback(dewy.kill)
        assert -signal.SIGKILL == await dewy.exit_status(), dewy.log
        await quiet(dewy)
        before = {each["Id"]: each for each in await dewy.containers()}

        dewy.point, dewy.options = "", []
        gate.turn("shut")
        asked = gate.asked
        took = await time_to_serve(dewy)
        measured(f"{1000 * took:.0f} ms from start to serving")
        # It was asked once at most, and has not answered.
        assert gate.asked <= asked + 1
        assert (await serving_versions(dewy)) <= {OLD, NEW}
        assert set(before) == {each["Id"] for each in await dewy.containers()}

        gate.turn("open")
        await dewy.serves(NEW)
        after = await dewy.alone(NEW)
        assert {NEW} == await serving_versions(dewy)
        assert kept(before) <= set(after)
        started = {each["Id"]: each["State"]["StartedAt"] for each in before.values()}
        for each in await dewy.containers():
            then = started.get(each["Id"], "")
            never_ran = not then or then.startswith("0001")
            assert never_ran or then == each["State"]["StartedAt"]
        await dewy.stop()
    assert 0 == dewy.process.returncode, dewy.log
    assert [] == await dewy.containers()
    state = await roots.state(dewy.root)
    assert NEW == state.running.tag
    assert [] == list(state.quarantine)


def kept(shown: dict[str, dict]) -> set[str]:
    """Those of the new version that ran."""
    return {
        name
        for name, each in shown.items()
        if each["Config"]["Labels"]["dewy.version"] == NEW and each["State"]["Running"]
    }


async def quiet(dewy: ContainerDewy) -> None:
    """Wait until the engine has done what the dead dewy had asked it for."""
    loop = asyncio.get_running_loop()
    last: list[tuple[str, str]] = []
    since, looks = loop.time(), 0

    async def unchanged() -> bool:
        nonlocal last, since, looks
        now = sorted((e["Id"], e["State"]["Status"]) for e in await dewy.containers())
        if now != last:
            last, since, looks = now, loop.time(), 0
        looks += 1
        return looks >= LOOKS and loop.time() - since >= SETTLED

    await eventually(unchanged)


async def time_to_serve(dewy: ContainerDewy) -> float:
    """Start it; the seconds until a connection through it is answered."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await dewy.start()

    async def answered() -> bool:
        try:
            return bool(await dewy.fetch("/version"))
        except (OSError, NotRunning):
            assert dewy.process.returncode is None, dewy.log
            return False

    await eventually(answered)
    return loop.time() - begun
