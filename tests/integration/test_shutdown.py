"""How long stopping takes, whatever does not want to end."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dewy.system import start_time
from tests.eventually import eventually
from tests.integration.test_verbs_at_once import program_of, saying
from tests.needs import needs
from tests.standins import programs
from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine
from tests.standins.gates import Gate
from tests.standins.images import Publisher
from tests.standins.receiving import Receiver
from tests.standins.roots import say
from tests.standins.site import Dewy

SHUTDOWN = 4.0
SLACK = 5.0
LATE = 1.5
"""Seconds of noise; less than the least deadline that nobody is to wait for."""

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def stubborn(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    """Runs a program that takes no notice of SIGTERM, and would be given an hour."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=("--stop-timeout", "1h"))
    dewy.publish("v1.0.0", programs.STUBBORN)
    return dewy


async def alone(dewy: Dewy) -> int:
    """The pid of the only generation, once it takes no notice of SIGTERM."""
    [generation] = (await dewy.runs("v1.0.0"))["generations"]
    await eventually((dewy.root / "deaf").exists)
    return int(generation["pid"])


async def test_stop_ends_within_the_shutdown_timeout(stubborn: Dewy) -> None:
    stubborn.options = (*stubborn.options, "--shutdown-timeout", f"{SHUTDOWN:g}s")
    async with stubborn:
        pid = await alone(stubborn)
        begun = time.monotonic()

        assert 0 == await stubborn.stop()

        assert time.monotonic() - begun < 3 * SHUTDOWN
        assert start_time(pid) is None


async def test_second_signal_during_shutdown_kills_program(stubborn: Dewy) -> None:
    stubborn.options = (*stubborn.options, "--shutdown-timeout", "1h")
    async with stubborn:
        pid = await alone(stubborn)
        stubborn.signal(signal.SIGTERM)
        await eventually(lambda: "msg=Stopping" in stubborn.log)

        assert 0 == await stubborn.stop()

        assert start_time(pid) is None


async def test_stop_ends_though_the_engine_hangs(
    docker: RealEngine, publisher: Publisher, tmp_path: Path, unused_tcp_port: int
) -> None:
    path = docker.environ["DOCKER_HOST"].removeprefix("unix://")
    async with Gate(path, tmp_path) as gate:
        site = ContainerDewy(
            tmp_path,
            unused_tcp_port,
            engine=docker,
            publisher=publisher,
            replicas=2,
            options=("--shutdown-timeout", f"{SHUTDOWN:g}s"),
            variables={"DOCKER_HOST": f"unix://{gate.place}"},
        )
        await site.push("v1.0.0")
        async with site:
            await site.serves("v1.0.0")
            gate.turn("shut")
            await gate.cut()
            begun = time.monotonic()

            assert 1 == await site.stop()

            assert time.monotonic() - begun < SHUTDOWN + SLACK
        assert "Exited by force" in site.log


async def test_dewy_that_is_stopping_answers_and_takes_no_deployment(
    stubborn: Dewy,
) -> None:
    stubborn.options = (*stubborn.options, "--shutdown-timeout", "1h")
    async with stubborn:
        await alone(stubborn)
        stubborn.signal(signal.SIGTERM)
        status = await stubborn.until(lambda now: not now["healthy"])
        assert "dewy is stopping on SIGTERM" == status["degraded"][0]

        refused = await say(stubborn.root, "rollback")
        held = await say(stubborn.root, "hold")

        assert (1, True) == (refused.status, "dewy is stopping" in refused.err)
        assert (0, True) == (held.status, "held at v1.0.0" in held.out)
        assert 0 == await stubborn.stop()


async def test_stop_cancels_a_rollback_under_way(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """As it does a deployment: before anything the rollback works on has gone."""
    options = ("--ready", "notify", "--start-timeout", "10m")
    dewy = Dewy(tmp_path, unused_tcp_port, options=options)
    async with dewy:
        for version in ("v1.0.0", "v1.1.0"):
            dewy.publish(version)
            await dewy.runs(version)
        await dewy.until(lambda now: now["underway"] is None)
        program_of(dewy, "v1.0.0").write_text(programs.NEVER_READY)
        rollback = await saying(dewy.root, "rollback")
        status = await dewy.until(lambda now: 2 == len(now["generations"]))

        assert 0 == await dewy.stop()

        _, err = await rollback.communicate()
        assert "dewy: error: dewy is stopping\n" == err.decode()
        assert not [g for g in status["generations"] if start_time(int(g["pid"]))]
        assert "level=ERROR" not in dewy.log


@dataclass
class Stop:
    """Seconds from SIGTERM to what a successor waits for."""

    port: float
    exit: float

    def later(self, other: Stop) -> float:
        return max(self.port - other.port, self.exit - other.exit)


async def stopped(dewy: Dewy) -> Stop:
    """Stop *dewy* once it has told what there is to tell."""
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        begun = time.monotonic()
        dewy.signal(signal.SIGTERM)
        await eventually(lambda: is_free(dewy.port))
        free = time.monotonic() - begun
        assert 0 == await dewy.exit_status()
        return Stop(free, time.monotonic() - begun)


@needs("telemetry")
async def test_stop_takes_as_long_whatever_is_to_be_told(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """With no notifier, and with those, or a collector, that do not do their part."""
    async with Receiver() as hanging, Receiver(fault=500) as failing:
        hanging.fault = "hang"
        nobody = f"127.0.0.1:{unused_tcp_port_factory()}"
        silent = socket.create_server(LOOPBACK)
        mute = f"127.0.0.1:{silent.getsockname()[1]}"
        cases = {
            "hanging": ("--notifier", f"{hanging.url}/x"),
            "failing": ("--notifier", f"{failing.url}/x"),
            "refused": ("--notifier", f"http://{nobody}/x"),
            "mute": ("--notifier", f"http://{mute}/x"),
            "dead collector": ("--otlp-endpoint", nobody, "--otlp-insecure"),
            "mute collector": ("--otlp-endpoint", mute, "--otlp-insecure"),
        }
        with silent:
            late = {}
            usual = await stopped(dewy_with(tmp_path / "none", unused_tcp_port_factory))
            for name, options in cases.items():
                # Only the machine makes one of three late; a deadline makes all.
                for attempt in range(3):
                    base = tmp_path / f"{name} {attempt}"
                    dewy = dewy_with(base, unused_tcp_port_factory, *options)
                    late[name] = (await stopped(dewy)).later(usual)
                    if late[name] < LATE:
                        break
    assert {} == {name: seconds for name, seconds in late.items() if seconds >= LATE}


def dewy_with(base: Path, port: Callable[[], int], *options: str) -> Dewy:
    base.mkdir()
    return Dewy(base, port(), options=options)


async def test_goodbye_reaches_a_target_that_works(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    async with Receiver() as receiver:
        options = ("--notifier", f"{receiver.url}/x")
        dewy = Dewy(tmp_path, unused_tcp_port_factory(), options=options)
        dewy.publish("v1.0.0")
        async with dewy:
            await eventually(lambda: told(receiver, "Server started for v1.0.0"))
            assert 0 == await dewy.stop()

        assert told(receiver, "Stopping (SIGTERM)")


async def test_successor_in_the_same_root_waits_for_no_goodbye(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """A target that worked is waited for, beside a dewy that serves already."""
    async with Receiver() as receiver:
        options = ("--notifier", f"{receiver.url}/x")
        dewy = Dewy(tmp_path, unused_tcp_port_factory(), options=options)
        dewy.publish("v1.0.0")
        async with dewy:
            await dewy.runs("v1.0.0")
            await eventually(lambda: receiver.received)
            tries = receiver.tries
            receiver.fault = "hang"
            dewy.signal(signal.SIGTERM)
            await eventually(lambda: receiver.tries > tries and is_free(dewy.port))
            successor = Dewy(tmp_path, dewy.port)
            async with successor:
                pid = successor.process.pid if successor.process else 0
                await successor.until(lambda now: now["pid"] == pid)
                await successor.runs("v1.0.0")
                assert 0 == await dewy.exit_status()
                assert pid == (await successor.ask("status"))["pid"]


def told(receiver: Receiver, text: str) -> bool:
    return text in [message["text"] for message in receiver.messages]


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
