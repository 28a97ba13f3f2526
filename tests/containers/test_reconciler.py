"""Replicas stay as they are to be, whatever becomes of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy.containers import exit_watcher, restart_policy
from dewy.containers import reconciler as module
from dewy.containers.reconciler import Failed
from dewy.containers.replica import Replica
from dewy.errors import EngineError, StartFailed
from tests.eventually import eventually, turns
from tests.standins.crews import Bench, benched


@asynccontextmanager
async def kept(root: Path, **given: Any) -> AsyncIterator[Bench]:
    """Three replicas of v1 that serve, and nobody has a look at them in mind."""
    async with benched(root, health_path="/up", **given) as bench:
        await bench.deploy(bench.publish("v1"))
        await eventually(lambda: bench.serving() == ["v1"] * 3)
        await turns()
        yield bench


def judged_by(bench: Bench, failed: Failed) -> None:
    """From now on *failed* is told of what dies."""
    reconciler = bench.replica_set.reconciler
    assert reconciler is not None
    reconciler._failed = failed


def first(bench: Bench) -> Replica:
    return bench.replica_set.deployer.store.serving[0]


def whole(bench: Bench) -> bool:
    held = bench.host.held
    return bench.serving() == bench.running() == ["v1"] * 3 and len(held) == 3


def count(bench: Bench, what: str) -> int:
    return sum(call == what for call, _ in bench.host.calls)


async def examined(bench: Bench, times: int) -> None:
    """Whoever serves has been asked how it is, so many times more."""
    shops = [bench.shops[each.id] for each in bench.replica_set.deployer.store.serving]
    wanted = {shop: shop.connections + times for shop in shops}
    await eventually(lambda: all(s.connections >= n for s, n in wanted.items()))


async def test_dead_replica_is_replaced_and_exit_is_reported(tmp_path: Path):
    async with kept(tmp_path) as bench:
        victim = first(bench)
        bench.host.held[victim.id].output.append("out of luck")
        tails: list[tuple[str, ...]] = []
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None

        async def died(
            replica: Replica, how: str, tail: tuple[str, ...], verb: str
        ) -> bool:
            bench.deaths.append(how)
            tails.append(tail)
            return False

        judged_by(bench, died)
        await bench.host.kill(victim.id, 7, oom_killed=True)
        await eventually(lambda: bench.deaths and whole(bench))

        expected = f"replica {victim.name}: exit status 7, killed for its use of memory"
        assert [expected] == bench.deaths
        assert [("out of luck",)] == tails


async def test_lack_of_memory_is_known_from_the_event_while_the_engine_is_slow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """It has much to do then, and forgets how the container ended."""
    async with kept(tmp_path) as bench:
        victim = first(bench)
        ends: list[str] = []

        async def died(
            replica: Replica, how: str, tail: tuple[str, ...], verb: str
        ) -> bool:
            ends.append(how)
            return False

        async def busy(when: str, call: str, subject: str) -> None:
            if when == "before" and (call, subject) == ("inspect", victim.id):
                raise EngineError("it hangs")

        bench.host.hook = busy
        judged_by(bench, died)
        await bench.host.kill(victim.id, oom_killed=True)
        await eventually(lambda: ends and whole(bench))
        deaths = bench.replica_set.deployer.store.terminations.deaths

    assert [True] == ["killed for its use of memory" in each for each in ends]
    assert {"oom": 1} == +deaths
    (told,) = [vars(each) for each in caplog.records if each.msg == "Replica died"]
    assert ("oom", False) == (told["reason"], told["engine_away"])


async def test_failure_is_at_hand_until_the_cause_of_a_death_is_known(tmp_path: Path):
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        asked, judged = asyncio.Event(), asyncio.Event()

        async def died(
            replica: Replica, how: str, tail: tuple[str, ...], verb: str
        ) -> bool:
            asked.set()
            await judged.wait()
            return False

        judged_by(bench, died)
        assert not reconciler.undecided()
        await bench.host.kill(first(bench).id)
        await asked.wait()
        assert reconciler.undecided()
        judged.set()
        await eventually(lambda: whole(bench))
        assert not reconciler.undecided()


async def test_failure_is_at_hand_until_the_engine_reports_an_end(tmp_path: Path):
    """A busy one reports it seconds after the process has left."""
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        assert not reconciler.undecided()
        first(bench).dead.set()
        assert reconciler.undecided()
        await bench.host.kill(first(bench).id)
        await eventually(lambda: whole(bench))
        assert not reconciler.undecided()


async def test_the_address_of_a_dead_replica_is_never_dialled_again(tmp_path: Path):
    """Not even by a probe, and not when somebody else listens there at once."""
    async with kept(tmp_path, health_interval=0.02) as bench:
        victim = first(bench)
        port = victim.container.published[8080]
        visits = 0

        async def visited(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            nonlocal visits
            visits += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign")
            writer.close()

        backend = victim.backends[0]
        await bench.host.kill(victim.id)
        foreign = await asyncio.start_server(visited, "127.0.0.1", port)
        # As the relay does on a connection that just failed.
        backend.on_suspect(True, bench.replica_set.probe)
        await eventually(lambda: whole(bench))
        for _ in range(20):
            assert "v1" == await bench.ask()
        await examined(bench, 3)

        assert 0 == visits
        foreign.close()


async def test_a_suspect_that_no_inspection_shows_is_not_asked(tmp_path: Path):
    """The engine's word comes first: it dropped the container, and told nobody."""
    async with kept(tmp_path) as bench:
        victim = first(bench)
        shop = bench.shops[victim.id]
        held = bench.host.held[victim.id]
        held.change(state="exited", exit_code=1, addresses={}, published={})
        before = shop.connections
        victim.backends[0].on_suspect(True, bench.replica_set.probe)
        await eventually(lambda: bench.deaths and whole(bench))

        assert before == shop.connections
        await shop.kill()


async def test_suspect_at_published_port_is_ejected_during_probe(
    tmp_path: Path,
):
    """The engine's own process takes connections there, and then drops them."""
    async with kept(tmp_path) as bench:
        backend = first(bench).backends[0]
        backend.on_suspect(False, bench.replica_set.probe)
        await asyncio.sleep(0)
        assert backend.ejected
        await eventually(lambda: not backend.ejected)
        assert ["v1"] * 3 == bench.serving()


async def test_an_engine_that_takes_its_containers_along_is_no_verdict(tmp_path: Path):
    """All of them are back by one reconcile, at once; nobody is held to have died."""
    async with kept(tmp_path) as bench:
        old = set(bench.host.held)
        creates = count(bench, "create")
        await bench.host.restart()
        await eventually(lambda: whole(bench) and not old & set(bench.host.held))

        assert ([], creates + 3) == (bench.deaths, count(bench, "create"))
        # From then on a death counts again.
        await bench.host.kill(first(bench).id)
        await eventually(lambda: bench.deaths and whole(bench))


async def test_a_death_of_which_the_engine_cannot_tell_is_no_verdict(tmp_path: Path):
    """It ends its containers first, and then itself: the event comes before."""
    async with kept(tmp_path) as bench:
        victim = first(bench)
        bench.host.fail("inspect", EngineError("it is going down"))
        await bench.host.kill(victim.id)
        await eventually(lambda: whole(bench) and victim.id not in names(bench))

        assert [] == bench.deaths


async def test_simultaneous_deaths_cause_no_back_off(tmp_path: Path):
    """So that all of them are replaced at once."""
    async with kept(tmp_path) as bench:
        old = set(bench.host.held)
        for victim in old:
            await bench.host.kill(victim)
        await eventually(lambda: whole(bench) and not old & set(bench.host.held))

        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        assert (3, 0.0) == (len(bench.deaths), bench.replica_set.deployer.pacing.left)


async def test_an_engine_that_restarts_below_its_containers_disturbs_nothing(
    tmp_path: Path,
):
    async with kept(tmp_path) as bench:
        old = set(bench.host.held)
        lists = count(bench, "containers")
        await bench.host.restart(live_restore=True)
        await eventually(lambda: count(bench, "containers") > lists)

        assert (old, []) == (set(bench.host.held), bench.deaths)
        assert ["v1"] * 3 == bench.serving()


async def test_an_engine_that_is_down_is_told_of_once_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path) as bench:
        bench.host.fail("containers", *[EngineError("it is down")] * 3)
        bench.replica_set.deployer.look_again()
        await eventually(lambda: len(bench.troubles) == 2)

        told = ["Engine does not answer: it is down", "Engine answers again"]
        assert told == bench.troubles


async def test_replicas_that_cannot_be_started_are_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path) as bench:
        bench.host.fail("create", *[EngineError("no room")] * 3)
        await bench.host.kill(first(bench).id)
        await eventually(lambda: whole(bench) and len(bench.troubles) == 2)

        told = ["Replicas are missing: no room", "Replicas are complete again"]
        assert told == bench.troubles


async def test_reason_of_missing_replicas_quotes_program_in_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path) as bench:
        ended = StartFailed("replica 0 ended", log_tail=("no database", ""))
        bench.host.fail("create", ended)
        await bench.host.kill(first(bench).id)
        await eventually(lambda: whole(bench) and len(bench.troubles) == 2)

    missing = [r for r in caplog.records if r.message == "Replicas are missing"]
    assert ["replica 0 ended: no database"] == [vars(r)["error"] for r in missing]
    assert "no database" not in "".join(bench.troubles)


async def test_repeated_deaths_of_replacements_are_backed_off(tmp_path: Path):
    """Each replacement dies as soon as it serves; the row of deaths grows."""
    async with kept(tmp_path) as bench:
        starts = count(bench, "start")
        store = bench.replica_set.deployer.store
        old = {each.id for each in store.serving}
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        lefts: list[float] = []
        counted = bench.replica_set.deployer.pacing.died

        def died(since: float) -> None:
            counted(since)
            lefts.append(bench.replica_set.deployer.pacing.left)

        bench.replica_set.deployer.pacing.died = died  # type: ignore[method-assign]
        await bench.host.kill(first(bench).id)
        for number in (1, 2):
            await eventually(lambda n=number: len(bench.deaths) == n)
            if number == 2:
                break
            await eventually(lambda: {r.id for r in store.serving} - old)
            fresh = next(iter({r.id for r in store.serving} - old))
            await bench.host.kill(fresh)

        assert [0.0, pytest.approx(1.0, abs=0.1)] == lefts
        assert 1 == count(bench, "start") - starts


async def test_crash_loop_is_degraded_while_its_replacement_serves(tmp_path: Path):
    """Regression: between two deaths the status said that all is well."""
    async with kept(tmp_path) as bench:
        store = bench.replica_set.deployer.store
        old = {each.id for each in store.serving}
        await bench.host.kill(first(bench).id)
        await eventually(lambda: {r.id for r in store.serving} - old and whole(bench))
        assert [] == bench.replica_set.degraded()
        fresh = next(iter({r.id for r in store.serving} - old))
        name = next(each.name for each in store.serving if each.id == fresh)
        await bench.host.kill(fresh)
        await eventually(lambda: 2 == len(bench.deaths) and whole(bench))

        (told,) = bench.replica_set.degraded()
        assert f"replicas keep dying: 2 times in a row, {name} last (exit" in told


async def test_a_fault_in_telling_of_a_death_does_not_end_the_replacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None

        async def broken(
            replica: Replica, how: str, tail: tuple[str, ...], verb: str
        ) -> bool:
            raise KeyError(how)

        judged_by(bench, broken)
        for _ in range(2):
            victim = first(bench)
            await bench.host.kill(victim.id)
            await eventually(lambda v=victim: whole(bench) and v.id not in names(bench))


def names(bench: Bench) -> set[str]:
    return {each.id for each in bench.replica_set.deployer.store.replicas}


async def test_the_verdict_on_a_death_comes_before_the_replacement(tmp_path: Path):
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        asked, judged = asyncio.Event(), asyncio.Event()

        async def died(
            replica: Replica, how: str, tail: tuple[str, ...], verb: str
        ) -> bool:
            asked.set()
            await judged.wait()
            return False

        judged_by(bench, died)
        starts = count(bench, "create")
        await bench.host.kill(first(bench).id)
        await asked.wait()
        await turns()
        assert starts == count(bench, "create")
        judged.set()
        await eventually(lambda: whole(bench))


async def test_deaths_of_old_version_do_not_delay_new_version(tmp_path: Path):
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        for _ in range(9):
            bench.replica_set.deployer.pacing.died(asyncio.get_running_loop().time())
        assert bench.replica_set.deployer.pacing.left
        await bench.deploy(bench.publish("v2"))
        await bench.host.kill(first(bench).id)
        await eventually(lambda: bench.deaths)

        assert 0.0 == bench.replica_set.deployer.pacing.left
        await eventually(lambda: ["v2"] * 3 == bench.serving() == bench.running())


async def test_deaths_that_a_slow_engine_does_not_explain_are_paced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LAST_WORDS", 0.05)
    async with kept(tmp_path) as bench:
        reconciler = bench.replica_set.reconciler
        assert reconciler is not None
        known, dead = names(bench), set[str]()

        async def slow(phase: str, call: str, subject: str) -> None:
            if call == "inspect" and subject in dead:
                await asyncio.Event().wait()

        bench.host.hook = slow
        victim = first(bench).id
        dead.add(victim)
        await bench.host.kill(victim, 1)
        await eventually(lambda: whole(bench) and names(bench) - known)
        (again,) = names(bench) - known
        dead.add(again)
        await bench.host.kill(again, 1)
        await eventually(lambda: bench.replica_set.deployer.pacing.left)

        assert [] == bench.deaths


@pytest.mark.parametrize("flavour", ["docker", "podman"])
async def test_death_during_a_second_look_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: str
):
    """Its removal does not pass for a request to end it."""
    monkeypatch.setattr("dewy.containers.update.SECOND_LOOK", 3600.0)
    async with kept(tmp_path, flavour=flavour) as bench:
        victim = first(bench)
        shop = bench.shops[victim.id]
        shop.answers.clear()
        before = shop.connections
        bench.replica_set.deployer.store.recheck(victim)
        await eventually(lambda: shop.connections > before)
        await bench.host.kill(victim.id, 7)
        shop.answers.set()
        await eventually(lambda: victim.id not in bench.host.held and whole(bench))

        assert [f"replica {victim.name}: exit status 7"] == bench.deaths


async def test_replica_whose_process_is_dead_is_replaced_before_the_engine_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exit_watcher, "open_process", lambda pid, _: os.pidfd_open(pid))
    monkeypatch.setattr(exit_watcher, "SILENT", 0.05)
    async with kept(tmp_path) as bench:
        victim, store = first(bench), bench.replica_set.deployer.store
        process = await asyncio.create_subprocess_exec("sleep", "600")
        bench.host.held[victim.id].change(pid=process.pid)
        await store.observe()
        await eventually(lambda: victim in bench.replica_set.exit_watcher)
        process.kill()
        await process.wait()
        await eventually(lambda: victim not in store.serving)
        await eventually(lambda: bench.serving() == ["v1"] * 3)
        assert [] == bench.deaths
        assert victim.id in bench.host.held

        await bench.host.kill(victim.id, 9)
        await eventually(lambda: whole(bench))
        assert [f"replica {victim.name}: exit status 9"] == bench.deaths
