"""Deployments, on a host that is memory."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.config import PortMapping
from dewy.containers.options.arguments import RunOptions
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History
from dewy.deploy.state import State, StateFile
from dewy.errors import DeploymentError, EngineError, StartFailed
from dewy.notifiers import NoticeKind
from dewy.system import Clock
from tests.eventually import eventually
from tests.standins.crews import REPOSITORY, Bench, Halt, benched
from tests.standins.switching import take_over

QUICK: dict[str, Any] = {"health_path": "/up"}


async def test_a_first_version_and_the_next(tmp_path: Path):
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        assert ["v1"] * 3 == bench.serving()
        assert "v1" == await bench.ask()

        await bench.deploy(bench.publish("v2"))

        assert ["v2"] * 3 == bench.serving()
        assert "v2" == await bench.ask()
        await eventually(lambda: ["v2"] * 3 == bench.running())
    assert [] == bench.running()


async def test_deployment_looks_image_up_and_makes_network_once(tmp_path: Path):
    """The reconciler, which wakes after it, asks for neither again."""
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        await eventually(lambda: ["v1"] * 3 == bench.running())
        bench.host.calls.clear()
        await bench.deploy(bench.publish("v2"))
        await eventually(lambda: ["v2"] * 3 == bench.running())
        await bench.replica_set.deployer.reconcile()

        calls = [call for call, _ in bench.host.calls]
        made = Counter(calls[calls.index("pull") :])
        looked_up = ("pull", "image", "tag_image", "create_network")
        assert [1] * 4 == [made[each] for each in looked_up]


@pytest.mark.parametrize(
    ("image", "settings", "why"),
    [
        ({"exits": 3}, {}, "exit status 3"),
        ({"labels": {"listens": "no"}}, {}, "connection refused"),
        ({"labels": {"health": "500"}}, QUICK, "answered 500"),
        ({"ports": (1, 2)}, {"port_mappings": (PortMapping(8080),)}, "exposes 1, 2"),
    ],
)
async def test_failing_version_gets_no_connection_and_is_removed(
    image: dict[str, Any], settings: dict[str, Any], why: str, tmp_path: Path
):
    async with benched(tmp_path, **settings) as bench:
        await bench.deploy(bench.publish("v1"))
        old = set(bench.host.held)
        running = bench.state_store.state.running
        usual = bench.replica_set.settings
        # Only the bad version: the good ones may take their time on a busy host.
        bench.replica_set.renew(replace(usual, health_timeout=0.2), RunOptions())
        with pytest.raises(DeploymentError, match=why) as caught:
            await bench.deploy(bench.publish("v2", **image))
        bench.replica_set.renew(usual, RunOptions())

        assert [str(caught.value)] == bench.troubles
        assert ["v1"] * 3 == bench.serving()
        assert {"v1"} == {await bench.ask() for _ in range(6)}
        await eventually(lambda: old == set(bench.host.held))
        assert running == bench.state_store.state.running
        assert [] == bench.deaths
        await bench.deploy(bench.publish("v3"))
        assert ["v3"] * 3 == bench.serving()


async def test_success_has_its_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "dewy")
    async with benched(tmp_path) as bench:
        await bench.deploy(bench.publish("v1"))
        told = bench.replica_set.deployer.achievement(again=False)
    DeploymentLog(History(tmp_path), (), Clock()).tell(NoticeKind.IMPORTANT, told)

    lines = {each.getMessage(): vars(each) for each in caplog.records}
    assert told == lines["Deploy notification"]["notice"]


async def test_a_first_version_that_is_bad_leaves_nothing(tmp_path: Path):
    async with benched(tmp_path) as bench:
        with pytest.raises(StartFailed):
            await bench.deploy(bench.publish("v1", exits=1))
        await eventually(lambda: not bench.host.held)

        assert not await bench.replica_set.deployer.alive()


async def test_new_ones_that_serve_already_are_drained_and_not_cut(tmp_path: Path):
    """One of three serves, the second does not start: the first one's clients stay."""
    async with benched(tmp_path, **QUICK, drain_time=60.0) as bench:
        await bench.deploy(bench.publish("v1"))
        release = bench.publish("v2")
        starts = 0
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None

        async def refuse(phase: str, call: str, subject: str) -> None:
            nonlocal starts, reader, writer
            starts += (phase, call) == ("before", "start")
            if (phase, call, starts) == ("before", "start", 2):
                await eventually(lambda: "v2" in bench.serving())
                reader, writer = await connected_to(bench, "v2")
                raise EngineError("no more of them")

        bench.host.hook = refuse
        with pytest.raises(StartFailed, match="no more of them"):
            await bench.deploy(release)
        bench.host.hook = None

        assert ["v1"] * 3 == bench.serving()
        assert reader is not None
        assert writer is not None
        assert ["v1", "v1", "v1", "v2"] == bench.running()
        assert "v2" == await request(reader, writer)
        writer.close()
        await eventually(lambda: ["v1"] * 3 == bench.running())


async def connected_to(
    bench: Bench, version: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection through the proxy that a replica of *version* has."""
    port = bench.proxy.ports[0].endpoint.port
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if await request(reader, writer) == version:
            return reader, writer
        writer.close()


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    return (await reader.readexactly(int(head.rpartition(b": ")[2]))).decode()


async def test_deployment_is_undone_if_state_cannot_be_written(tmp_path: Path):
    class Full(StateFile):
        def write(self, state: State) -> None:
            if state.running and state.running.tag == "v2":
                raise OSError(28, "No space left on device")
            super().write(state)

    async with benched(tmp_path, file=Full, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        old = set(bench.host.held)
        with pytest.raises(OSError, match="No space"):
            await bench.deploy(bench.publish("v2"))

        assert ["v1"] * 3 == bench.serving()
        await eventually(lambda: old == set(bench.host.held))
        assert len(bench.troubles) == 1


async def test_replica_death_during_commit_keeps_old_replicas(tmp_path: Path):
    """All new ones served, and one ends before the first old one is to leave."""
    bench: Bench

    class Deadly(StateFile):
        def write(self, state: State) -> None:
            super().write(state)
            if state.running and state.running.tag == "v2":
                asyncio.run_coroutine_threadsafe(end_one(), loop).result()

    async def end_one() -> None:
        serving = bench.replica_set.deployer.store.serving
        await bench.host.kill(next(r.id for r in serving if r.version == "v2"))
        await eventually(lambda: bench.serving().count("v2") == 2)

    loop = asyncio.get_running_loop()
    async with benched(tmp_path, file=Deadly, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        old = set(bench.host.held)
        assert bench.replica_set.reconciler is not None
        judged = asyncio.Event()

        async def died(*told: object) -> bool:
            await judged.wait()
            return False

        bench.replica_set.reconciler._died = died
        await bench.deploy(bench.publish("v2"))

        assert ["v1", "v1", "v1", "v2", "v2"] == bench.serving()
        assert old <= set(bench.host.held)
        judged.set()
        await eventually(lambda: ["v2"] * 3 == bench.serving() == bench.running())


async def test_deployment_does_not_wait_for_draining_replicas(tmp_path: Path):
    async with benched(tmp_path, **QUICK, drain_time=3600.0) as bench:
        await bench.deploy(bench.publish("v1"))
        held = [await connected_to(bench, "v1") for _ in range(6)]
        async with asyncio.timeout(60):
            await bench.deploy(bench.publish("v2"))

        assert ["v1"] * 3 + ["v2"] * 3 == bench.running()
        for reader, writer in held:
            assert "v1" == await request(reader, writer)
            writer.close()
        await eventually(lambda: ["v2"] * 3 == bench.running())


async def test_restored_version_takes_over_without_capacity_loss(tmp_path: Path):
    """As after a death within probation: the bad ones leave only then."""
    async with benched(tmp_path, **QUICK) as bench:
        good = await bench.deploy(bench.publish("v1"))
        await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()
        fewest = 3

        async def watch(phase: str, call: str, subject: str) -> None:
            nonlocal fewest
            fewest = min(fewest, len(bench.serving()))

        bench.host.hook = watch
        await bench.state_store.change(lambda state: replace(state, running=good))
        await bench.replica_set.deployer.put_back(good)
        bench.replica_set.deployer.store.changed.set()
        await eventually(lambda: ["v1"] * 3 == bench.serving() == bench.running())

        assert 3 == fewest


async def test_version_whose_image_is_not_pulled_in_time_is_not_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dewy.containers.deployer.PULL_BACK", 0.1)
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        good = await bench.deploy(bench.publish("v1"))
        await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()
        image = bench.host.registry[f"{REPOSITORY}@{good.identity}"].image
        del bench.host.images[image.id]
        bench.host.hook = Halt("before", "pull")
        with pytest.raises(DeploymentError, match=r"no image of v1 within 0\.1 s") as e:
            await bench.replica_set.deployer.put_back(good)
        assert e.value.host
        bench.host.hook = None
        await bench.replica_set.deployer.put_back(good)

        assert image.id in bench.host.images


async def test_image_is_at_hand_only_while_present_on_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dewy.containers.deployer.AT_HAND", 0.1)
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        good = await bench.deploy(bench.publish("v1"))
        deployer = bench.replica_set.deployer
        assert await deployer.at_hand(good)
        bench.host.hook = Halt("before", "image")
        assert not await deployer.at_hand(good)
        bench.host.hook = None
        await bench.deploy(bench.publish("v2"))
        await bench.replica_set.drainer.ended()
        image = bench.host.registry[f"{REPOSITORY}@{good.identity}"].image
        del bench.host.images[image.id]
        assert not await deployer.at_hand(good)


async def test_poll_finds_end_that_no_event_told(tmp_path: Path):
    async with benched(tmp_path, **QUICK) as bench:
        running = await bench.deploy(bench.publish("v1"))
        victim = bench.replica_set.deployer.store.serving[0].id
        held = bench.host.held[victim]
        held.change(state="exited", exit_code=1, addresses={}, published={})
        await bench.replica_set.deployer.heal(running)
        await eventually(lambda: victim not in bench.host.held)
        await eventually(lambda: ["v1"] * 3 == bench.serving())
        await bench.shops[victim].kill()


async def test_poll_does_not_wait_for_engine(tmp_path: Path):
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        running = await bench.deploy(bench.publish("v1"))
        bench.host.hook = Halt("before", "containers")
        async with asyncio.timeout(60):
            await bench.replica_set.deployer.heal(running)
        bench.host.hook = None


async def test_nothing_is_done_while_nothing_is_deployed(tmp_path: Path):
    async with benched(tmp_path, keep=False) as bench:
        bench.host.calls.clear()
        await bench.replica_set.deployer.reconcile()

        assert [] == bench.host.calls


async def test_a_second_look_does_nothing(tmp_path: Path):
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        await bench.replica_set.drainer.ended()
        bench.host.calls.clear()
        known = await bench.replica_set.deployer.reconcile()

        assert [] == bench.host.calls
        assert known == bench.replica_set.deployer.store.changed.count


async def test_an_image_that_is_gone_is_pulled_for_healing(tmp_path: Path):
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        for container in list(bench.host.held):
            await bench.host.kill(container)
        bench.host.images.clear()
        await bench.replica_set.deployer.store.observe()
        bench.host.calls.clear()
        await bench.replica_set.deployer.reconcile()

        assert "pull" in {call for call, _ in bench.host.calls}
        assert ["v1"] * 3 == bench.serving()


async def test_a_failed_version_stays_while_nothing_else_serves(tmp_path: Path):
    """Its only replica that serves is better than nobody, until v1 is back."""
    async with benched(tmp_path, keep=False, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        release = bench.publish("v2")
        starts = 0

        async def disaster(phase: str, call: str, subject: str) -> None:
            nonlocal starts
            starts += (phase, call) == ("before", "start")
            if (phase, call, starts) == ("before", "start", 2):
                await eventually(lambda: "v2" in bench.serving())
                for each in bench.replica_set.deployer.store.serving:
                    if each.version == "v1":
                        await bench.host.kill(each.id)
                        bench.replica_set.deployer.store.lose(each, 1)
                raise EngineError("no more of them")

        bench.host.hook = disaster
        with pytest.raises(StartFailed):
            await bench.deploy(release)
        bench.host.hook = None
        assert ["v2"] == bench.serving()

        await bench.replica_set.deployer.reconcile()
        assert ["v1"] * 3 == bench.serving()
        await eventually(lambda: ["v1"] * 3 == bench.running())


async def test_long_undo_leaves_the_next_rollout_alone(tmp_path: Path):
    """The next change begins while a cancelled one is still being undone."""
    async with benched(tmp_path, **QUICK) as bench:
        await bench.deploy(bench.publish("v1"))
        deployer = bench.replica_set.deployer
        bad, next_one = bench.publish("v2", exits=1), bench.publish("v3")
        undoing, proceed = asyncio.Event(), asyncio.Event()

        async def abandon(reason: BaseException) -> None:
            undoing.set()
            await proceed.wait()

        async with bench.replica_set.image_store.brought(bad) as delivery:
            target = await delivery.reserve(1_000_000.0)
        failing = asyncio.create_task(
            take_over(deployer, target, abandon=abandon), name="failing"
        )
        await undoing.wait()
        bench.host.hook = halt = Halt("before", "start")
        deploying = asyncio.create_task(bench.deploy(next_one), name="deployment")
        await halt.reached.wait()
        taking_over = deployer.target
        proceed.set()
        await asyncio.wait({failing})

        assert isinstance(failing.exception(), StartFailed)
        assert taking_over == deployer.target is not None
        halt.proceed.set()
        await deploying
        assert deployer.target is None
        assert ["v3"] * 3 == bench.serving()
