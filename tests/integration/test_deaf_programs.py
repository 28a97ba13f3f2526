"""Programs that live, but accept no connections."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.eventually import eventually
from tests.standins import programs
from tests.standins.site import Dewy

GOOD, DEAF = "v1.0.0", "v1.1.0"
OPTIONS = ["--ready", "grace", "--start-grace", "100ms", "--probation", "14s"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


async def test_deaf_program_is_degraded_and_does_not_pass_its_probation(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(tmp_path, unused_tcp_port, options=OPTIONS)
    dewy.publish(GOOD, programs.SILENT)
    async with dewy:
        await dewy.runs(GOOD)
        (dewy.root / "pause").touch()
        dewy.publish(DEAF, programs.PAUSES)
        await dewy.runs(DEAF)
        await dewy.until(lambda now: len(now["generations"]) == 1)
        asking = asyncio.create_task(dewy.fetch())
        problem = f"nothing accepts connections on port 127.0.0.1:{dewy.port}: 1 has"
        # Its time is over, and it has not passed.
        await dewy.until(
            lambda now: now["probation"] == 0 and problem in str(now["degraded"])
        )
        (dewy.root / "pause").unlink()
        assert DEAF == await asking
        status = await dewy.until(lambda now: now["healthy"])

        await eventually(lambda: f'"Probation passed" tag={DEAF}' in passed(dewy.log))
        assert [DEAF, 0] == [status["running"]["tag"], status["deaths"]["total"]]
        assert 1 == dewy.log.count("Nothing accepts connections")
        assert "Connections are accepted again" in dewy.log


def passed(log: str) -> str:
    """The lines of *log* without the deployment's id."""
    return " ".join(each for each in log.split(" ") if "deployment=" not in each)
