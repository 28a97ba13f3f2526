"""Containers behind a port that systemd holds: restarting dewy is no outage."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.standins.engines import RealEngine
from tests.standins.images import Publisher
from tests.standins.load import Load
from tests.standins.site import Status
from tests.standins.systemd import Held

Measured = Callable[[object], None]

REPLICAS = 2
# What is left behind by a kill is what an orderly end leaves, and more.
CASES = [
    ("docker", "stop"),
    ("docker", "kill"),
    pytest.param("podman", "stop", marks=pytest.mark.soak),
    ("podman", "kill"),
]
OPTIONS = (
    *("--replicas", str(REPLICAS), "--max-parallel", str(REPLICAS)),
    *("--health-path", "/health", "--min-healthy", "100ms"),
    *("--drain-time", "10s", "--stop-timeout", "5s", "--on-exit", "leave"),
)


@pytest.fixture
async def held(
    tmp_path: Path, engine: RealEngine, publisher: Publisher
) -> AsyncIterator[Held]:
    """A `dewy container` whose port stays open whatever becomes of it."""
    repository = engine.name("team/shop")
    await publisher.publish(repository, "v1.0.0")
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        dewy = Held(
            tmp_path,
            port,
            command="container",
            options=["--runtime", engine.runtime, *OPTIONS],
            variables=dict(engine.environ),
            registry_url=f"img://{publisher.host}/{repository}",
            passed=[listener.fileno()],
        )
        async with dewy:
            yield dewy


def serves(version: str) -> Callable[[Status], bool]:
    """Whether *version*, in all its replicas, is all there is."""
    wanted = [(version, "serving")] * REPLICAS

    def met(status: Status) -> bool:
        seen = [(each["version"], each["phase"]) for each in status["replicas"]]
        return wanted == seen and bool(status["running"])

    return met


def ids(status: Status) -> list[str]:
    return [replica["id"] for replica in status["replicas"]]


@pytest.mark.parametrize(("engine", "end"), CASES, indirect=["engine"])
async def test_requests_wait_while_dewy_itself_is_restarted(
    held: Held, end: str, measured: Measured
) -> None:
    """Its containers serve on, the same ones: none is started or stopped for it."""
    before = ids(await held.until(serves("v1.0.0")))
    async with Load(held.port, rate=100, kept=4, path="/version") as load:
        for _ in range(2):
            await getattr(held, end)()
            await load.goes_on(arrivals=20)
            await held.start()
            after = ids(await held.until(serves("v1.0.0")))
            await load.goes_on(arrivals=20)

            assert before == after
    measured(load.report)

    lost = load.report.failures
    if end == "kill":
        # What a dewy that is killed was relaying goes with it; what waits does not.
        lost.pop("reset", None)
        lost.pop("short", None)
    assert {} == lost, load.report.examples


async def test_update_goes_on_after_a_restart(
    held: Held, engine: RealEngine, publisher: Publisher
) -> None:
    """A dewy that took containers over rolls them to the next version."""
    first = ids(await held.until(serves("v1.0.0")))
    await held.stop()
    repository = held.registry_url.partition(f"{publisher.host}/")[2]
    await publisher.publish(repository, "v1.1.0")
    await held.start()
    second = ids(await held.until(serves("v1.1.0")))

    assert not {*first} & {*second}
    assert "v1.1.0" == await held.fetch("/version")
