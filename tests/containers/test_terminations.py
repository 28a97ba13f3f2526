"""How replicas ended, kept beyond their containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.containers.model import Container
from dewy.containers.replica import describe
from dewy.containers.terminations import TerminationLog
from tests.eventually import eventually
from tests.standins.crews import benched
from tests.standins.fleets import yard

QUICK = {"min_healthy": 0.0, "health_path": "/up"}


def replica(index: int = 0, version: str = "v1", *, oom: bool = False) -> Container:
    """A container of a replica that has ended."""
    labels = {"dewy.replica": str(index), "dewy.version": version}
    name = f"shop-{index}"
    return Container(name, name, "exited", labels, oom_killed=oom)


@pytest.mark.parametrize(
    ("code", "oom", "reason", "how"),
    [
        (0, False, "exit", "exit status 0"),
        (3, False, "exit", "exit status 3"),
        (139, False, "signal", "exit status 139 (killed by SIGSEGV)"),
        (
            137,
            True,
            "oom",
            "exit status 137 (killed by SIGKILL), killed for its use of memory",
        ),
        (None, False, "unknown", "ended"),
        (255, False, "exit", "exit status 255"),
    ],
)
def test_reason_follows_from_exit_status_and_memory(
    code: int | None, oom: bool, reason: str, how: str
) -> None:
    """Statuses above 128 tell a signal, as in shells."""
    log = TerminationLog()
    found = log.record(replica(oom=oom), code)

    assert (reason, code, how) == (found.reason, found.exit_code, found.how)
    assert {reason: 1} == {name: count for name, count in log.deaths.items() if count}


def test_reasons_without_a_death_are_counted_as_zero() -> None:
    """A counter that begins at one has no increase to alert on."""
    assert {"exit": 0, "signal": 0, "oom": 0, "unknown": 0} == TerminationLog().deaths


def test_restarts_are_counted_by_number_and_version() -> None:
    """The last end is known whatever the version."""
    log = TerminationLog()
    log.record(replica(0), 1)
    log.record(replica(0), 2)
    log.record(replica(1, "v2"), 3)

    assert (2, 0) == (log.restarts(0, "v1"), log.restarts(0, "v2"))
    assert (0, 1) == (log.restarts(1, "v1"), log.restarts(1, "v2"))
    assert [2, 3, None] == [
        (last := log.last(index)) and last.exit_code for index in range(3)
    ]


def test_failed_version_does_not_alter_deaths_of_running_version() -> None:
    log = TerminationLog()
    log.record(replica(0), 1)
    log.record(replica(0, "v2"), 7)
    last = log.last(0, "v1")

    assert (1, 1) == (log.restarts(0, "v1"), log.restarts(0, "v2"))
    assert 1 == (last and last.exit_code)


async def test_death_is_shown_on_replacement(tmp_path: Path) -> None:
    """Its own container is gone by then."""
    async with benched(tmp_path, replicas=1, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        first = bench.replica_set.containers()[0]
        assert (0, None) == (first["restarts"], first["last_terminated"])

        await bench.host.kill(first["name"], oom_killed=True)

        def replaced() -> bool:
            found = bench.replica_set.containers()
            ids = [each["id"] for each in found if each["phase"] == "serving"]
            return bool(ids) and first["id"] not in [each["id"] for each in found]

        await eventually(replaced)
        (second,) = bench.replica_set.containers()
        assert 1 == second["restarts"]
        assert {
            "container": first["name"],
            "version": "v1",
            "reason": "oom",
            "exit_code": 137,
        }.items() <= second["last_terminated"].items()
        terminations = bench.replica_set.deployer.store.terminations
        assert 1 == terminations.deaths.total()


async def test_death_before_readiness_is_counted(tmp_path: Path) -> None:
    """The replacement of a replica may crash, too, and again."""
    async with benched(tmp_path, keep=False, replicas=1, **QUICK) as bench:
        release = bench.publish("v1", exits=3)
        with pytest.raises(Exception, match="exit status 3"):
            await bench.deploy(release)

        assert 1 == bench.replica_set.deployer.store.terminations.deaths["exit"]


async def test_replicas_told_to_leave_do_not_count(tmp_path: Path) -> None:
    """Nor does their removal."""
    async with benched(tmp_path, replicas=1, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()

        assert 0 == bench.replica_set.deployer.store.terminations.deaths.total()


async def test_container_found_dead_at_start_does_not_count() -> None:
    """Another dewy saw it die, or nothing did."""
    async with yard() as it:
        await it.left("a", start=False)
        await it.store.observe()
        await it.store.observe()
        found = it.store.replicas[0]
        await it.store.remove(found)

        assert 0 == it.store.terminations.deaths.total()


async def test_death_of_removed_container_is_counted_once() -> None:
    """By `docker rm -f` of one that serves; only its event told the exit status."""
    async with yard() as it:
        found = await it.serving("a")
        it.store.lose(found, 137)
        it.store.forget(found.id)
        it.store.forget(found.id)

        assert 1 == it.store.terminations.deaths["signal"]
        assert 1 == describe(found, it.store.terminations)["restarts"]
