"""Programs that answer badly after they took over."""

from __future__ import annotations

import pytest

from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.site import Dewy

GOOD, BAD = "v1.0.0", "v1.1.0"
HEALTH = ["--health-path", "/up", "--health-interval", "100ms"]


@pytest.fixture
def dewy(tmp_path, unused_tcp_port) -> Dewy:
    return Dewy(tmp_path, unused_tcp_port, options=HEALTH)


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
