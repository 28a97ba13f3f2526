"""Programs that answer badly after they took over."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.site import Dewy

GOOD, BAD = "v1.0.0", "v1.1.0"
HEALTH = ["--health-path", "/up", "--health-interval", "100ms"]


@pytest.fixture
def dewy(tmp_path, unused_tcp_port) -> Dewy:
    return Dewy(tmp_path, unused_tcp_port, options=HEALTH)


def lives_on(status, before: int = 0) -> bool:
    """Whether another process than *before* outlived `--start-grace` thrice over."""
    found = [each for each in status["generations"] if each["pid"] != before]
    return any(each["since"] <= time.time() - 3 for each in found)


async def test_unhealthy_within_probation_is_rolled_back(dewy):
    dewy.publish(GOOD)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.SICKLY)
        await dewy.runs(BAD)
        (dewy.root / "sick").touch()
        reason = await dewy.refuses(BAD)
        status = await dewy.runs(GOOD)

        assert "failed its health checks within probation" in reason
        assert "503" in reason

        async def goes_back() -> bool:
            # It is started beside the sick one, which answers until it is ready.
            return await dewy.fetch() == GOOD

        await eventually(goes_back)
        assert [None] == [each["until"] for each in status["quarantine"]]
        # The old one was started beside the sick one: nobody died.
        assert 0 == status["deaths"]["total"]
        await roots.recorded(dewy.root, GOOD, BAD, BAD)


async def test_unhealthy_later_is_told_and_left_running(dewy):
    dewy.options = [*HEALTH, "--probation", "0s"]
    dewy.publish(GOOD, programs.SICKLY)
    async with dewy:
        (generation,) = (await dewy.runs(GOOD))["generations"]
        (dewy.root / "sick").touch()
        status = await dewy.until(lambda now: "unhealthy" in str(now["degraded"]))
        (failed,) = (each["last_check"] for each in status["generations"])
        said = await roots.say(dewy.root, "status", "--check")
        (dewy.root / "sick").unlink()
        await dewy.until(lambda now: now["healthy"])

        assert 1 == said.status
        assert not failed["ok"]
        assert [f"127.0.0.1:{dewy.port}"] == [
            each["address"] for each in status["ports"]
        ]
        assert [generation["pid"]] == [each["pid"] for each in status["generations"]]
        await eventually(lambda: "Program is healthy again" in dewy.log)
        assert 1 == dewy.log.count("Program is unhealthy")


async def test_restarted_program_is_starting_until_its_health_path_answers(dewy):
    dewy.options = [*HEALTH, "--probation", "0s"]
    dewy.publish(GOOD, programs.SLOW)
    async with dewy:
        (generation,) = (await dewy.runs(GOOD))["generations"]
        (dewy.root / "slow").touch()
        os.kill(generation["pid"], signal.SIGKILL)
        # It lives for longer than the time to start, and no request is answered.
        status = await dewy.until(lambda now: lives_on(now, generation["pid"]))
        said = await roots.say(dewy.root, "status", "--check")
        asking = asyncio.create_task(dewy.fetch())
        (dewy.root / "slow").unlink()
        assert GOOD == await asking
        await dewy.until(lambda now: now["healthy"])

        assert ["the program is starting"] == status["degraded"]
        assert 1 == said.status, said
        assert 2 == dewy.log.count("Generation took over")


async def test_program_started_at_boot_is_starting_until_its_health_path_answers(dewy):
    dewy.publish(GOOD, programs.SLOW)
    async with dewy:
        await dewy.runs(GOOD)
    (dewy.root / "slow").touch()
    async with dewy:
        status = await dewy.until(lives_on)
        (dewy.root / "slow").unlink()
        await dewy.runs(GOOD)

        assert ["the program is starting"] == status["degraded"]


async def test_program_without_an_answer_in_time_after_boot_is_judged(dewy):
    dewy.options = [*HEALTH, "--health-timeout", "6s"]
    dewy.publish(GOOD, programs.SILENT)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.SLOW)
        await dewy.runs(BAD)
    (dewy.root / "slow").touch()
    async with dewy:
        assert "failed its health checks" in await dewy.refuses(BAD)
        await dewy.runs(GOOD)
