"""A deployment in the log: what people and programs can follow it by."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dewy import logs
from dewy.admin.handlers import Handlers
from dewy.errors import ArchiveError
from dewy.polling import Poller
from tests.standins.agents import acting

STEPS = ["fetch", "before-hook", "unpack", "start", "done"]


@pytest.fixture
def stream() -> io.StringIO:
    """The whole log, as JSON."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream, {})
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Those that are about a deployment."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [each for each in found if "deployment" in each]


async def test_each_step_is_logged_once(tmp_path: Path, stream: io.StringIO) -> None:
    """With the id that the history has, whatever runs round it."""
    hooks = {"before_deploy_hook": "true", "after_deploy_hook": "true"}
    async with acting(tmp_path, **hooks) as hands:
        hands.publish("v1.0.0")
        await hands.tick()
        await hands.tick()
        (record,) = await hands.history()
        told = lines(stream)

    assert STEPS == [each["step"] for each in told]
    assert {("INFO", record.id, "v1.0.0")} == {
        (each["level"], each["deployment"], each["tag"]) for each in told
    }
    assert "Deployment started" == told[0]["msg"]
    assert "Deployed" == told[-1]["msg"]
    assert ["time", "level", "msg", "deployment", "step", "tag", "from"] == list(
        told[-1]
    )


async def test_failure_is_the_last_line(tmp_path: Path, stream: io.StringIO) -> None:
    async with acting(tmp_path) as hands:
        hands.publish("v1.0.0", b"no archive")
        with pytest.raises(ArchiveError):
            await hands.tick()
        (record,) = await hands.history()
        *steps, failed = lines(stream)

    assert STEPS[:3] == [each["step"] for each in steps]
    assert ("ERROR", "Deployment failed", "unpack", record.id, record.reason) == (
        failed["level"],
        failed["msg"],
        failed["step"],
        failed["deployment"],
        failed["error"],
    )


async def test_rollback_is_told_alike(tmp_path: Path, stream: io.StringIO) -> None:
    async with acting(tmp_path) as hands:
        agent = hands.agent
        handlers = Handlers(agent, Poller(agent.tick, agent.reloadable, agent.clock))
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await hands.tick()
        before = len(lines(stream))
        await handlers.handle("rollback", {})
        record = (await hands.history())[-1]
        told = lines(stream)[before:]
        status = await handlers.status()

    assert ["start", "done"] == [each["step"] for each in told]
    assert {("rollback", record.id)} == {
        ("rollback", each["deployment"]) for each in told
    }
    assert "rollback" == told[0]["action"]
    assert "rolled back by operator" == status["why"]
