"""What a failed program wrote is shown to those only who may read its logs."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from pathlib import Path

from tests.standins.site import Dewy

SECRET = "s3cr3t-of-the-database"
LEAKY = f"raise SystemExit('db password={SECRET}')"
GOOD = "import time; time.sleep(600)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events(port: int) -> str:
    """The first status and history that the page gets."""
    url = f"http://127.0.0.1:{port}/api/events"
    text = ""
    with urllib.request.urlopen(url, timeout=60) as answer:
        while not ("event: status" in text and "event: history" in text):
            text += answer.readline().decode()
        return text + answer.readline().decode()


def get(port: int, path: str) -> str:
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


async def test_last_line_of_failed_program_is_not_told_over_http(
    tmp_path: Path,
) -> None:
    admin = free_port()
    dewy = Dewy(tmp_path, options=("--start-grace", "100ms"))
    dewy.options = (*dewy.options, "--admin-port", str(admin), "--telemetry")
    dewy.publish("v1.0.0", GOOD)
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0", LEAKY)
        reason = await dewy.refuses("v1.1.0")
        for path in ("/", "/api/status", "/api/containers", "/metrics"):
            assert SECRET not in await asyncio.to_thread(get, admin, path), path
        told = await asyncio.to_thread(events, admin)
        status = await dewy.ask("status")
        why = await dewy.ask("why", version="v1.1.0")

    assert SECRET not in told
    assert reason in told
    assert "(exit status 1)" in reason
    assert SECRET not in reason
    assert SECRET in json.dumps(status["quarantine"])
    assert SECRET in json.dumps(why["why"])
    assert SECRET in dewy.log
    assert SECRET in (dewy.root / ".dewy/history.jsonl").read_text()
