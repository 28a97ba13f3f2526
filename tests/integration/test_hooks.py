"""Hooks, round a deployment that really happens."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.site import Dewy

# Each adds a line to the file `order` in the root.
NOTE = (
    'echo "{} $DEWY_TAG $DEWY_PREVIOUS_TAG $DEWY_OUTCOME'
    ' $(basename "$DEWY_RELEASE_DIR") $(readlink current | wc -w)" >> order'
)
HOOKS = [
    *("--before-deploy-hook", NOTE.format("before")),
    *("--after-deploy-hook", NOTE.format("after")),
]
NOTING = programs.PROGRAM.read_text().replace(
    "    say_ready()\n",
    "    with open('order', 'a') as order:\n"
    "        order.write(f'start {VERSION}\\n')\n"
    "    say_ready()\n",
)


async def order(dewy: Dewy, lines: int) -> list[list[str]]:
    """The words of each line, once there are so many."""
    path = dewy.root / "order"
    await eventually(lambda: path.exists() and path.read_text().count("\n") >= lines)
    return [line.split() for line in path.read_text().splitlines()]


async def test_before_start_after(tmp_path, unused_tcp_port):
    """The after-hook sees the application run; it used to come before the start."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=HOOKS)
    dewy.publish("v1.0.0", NOTING)
    async with dewy:
        first = (await dewy.runs("v1.0.0"))["running"]["directory"]
        await order(dewy, 3)
        dewy.publish("v1.1.0", NOTING)
        second = (await dewy.runs("v1.1.0"))["running"]["directory"]
        told = await order(dewy, 6)

    assert [
        # No previous version, and no link yet.
        ["before", "v1.0.0", "pending", first, "0"],
        ["start", "v1.0.0"],
        ["after", "v1.0.0", "deployed", first, "1"],
        ["before", "v1.1.0", "v1.0.0", "pending", second, "1"],
        ["start", "v1.1.0"],
        ["after", "v1.1.0", "v1.0.0", "deployed", second, "1"],
    ] == told


async def test_after_hook_that_fails_is_in_log_history_and_why(
    tmp_path, unused_tcp_port
):
    """With its command and output, which do not go over HTTP."""
    failing = ("--after-deploy-hook", "echo no cache >&2; exit 3")
    dewy = Dewy(tmp_path, unused_tcp_port, options=failing)
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        await eventually(lambda: "Execute hook failed" in dewy.log)
        history = await said_eventually(dewy, "hook failed", "history")
        why = await said_eventually(dewy, "a hook failed", "why", "v1.0.0")

    assert "after-hook: the after-deploy hook failed: exit code 3: echo no" in history
    assert "exit 3: no cache" in history
    assert why.startswith("v1.0.0: runs")
    assert "    no cache" in why
    assert 'command="echo no cache >&2; exit 3"' in dewy.log
    assert 'stderr="no cache"' in dewy.log


async def said_eventually(dewy: Dewy, text: str, *words: str) -> str:
    """What `dewy WORDS` prints, once *text* is in it."""
    told = ""

    async def there() -> bool:
        nonlocal told
        told = (await roots.say(dewy.root, *words)).out
        return text in told

    await eventually(there)
    return told


async def test_rollback_runs_the_after_hook_and_boot_and_restart_run_none(
    tmp_path, unused_tcp_port
):
    """They deploy nothing; each restart of dewy used to run both again."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=HOOKS)
    dewy.publish("v1.0.0", NOTING)
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0", NOTING)
        await dewy.runs("v1.1.0")
        await order(dewy, 6)
        await dewy.ask("rollback")
        await dewy.runs("v1.0.0")
        dewy.signal(signal.SIGHUP)
        await dewy.until(
            lambda now: [4] == [g["generation"] for g in now["generations"]]
        )
    async with dewy:
        await dewy.runs("v1.0.0")
        await dewy.until(lambda now: now["last_poll"])
        told = await order(dewy, 10)

    starts, hooks = told[6:], [each for each in told[6:] if each[0] != "start"]
    assert 3 == starts.count(["start", "v1.0.0"])
    assert [["after", "v1.0.0", "v1.1.0", "rolled-back"]] == [h[:4] for h in hooks]


async def test_a_before_hook_has_its_time_and_no_more(tmp_path, unused_tcp_port):
    """It and what it started are ended; the deployment has failed."""
    slow = "sleep 600 & echo $! > child; test $DEWY_TAG = v1.0.0 || wait"
    options = ["--before-deploy-hook", slow, "--hook-timeout", "300ms"]
    dewy = Dewy(tmp_path, unused_tcp_port, options=options)
    dewy.publish("v1.0.0")
    try:
        async with dewy:
            await dewy.runs("v1.0.0")
            left = int((dewy.root / "child").read_text())
            dewy.publish("v1.1.0")
            reason = await dewy.refuses("v1.1.0")
            waited = int((dewy.root / "child").read_text())
            await eventually(lambda: waited not in roots.inhabitants(dewy.root))

            assert "before-deploy hook" in reason
            assert "time limit" in reason
            assert "v1.0.0" == await dewy.fetch()
            # What a hook leaves behind on purpose is its own business.
            assert left in roots.inhabitants(dewy.root)
    finally:
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    assert "before-hook" == (await roots.history(dewy.root))[-1].step


async def test_background_process_of_hook_does_not_block_deployment(tmp_path):
    """With its output open; dewy used to wait for it for ever."""
    hook = "sleep 600 & echo $! >> children"
    options = ["--before-deploy-hook", hook, "--after-deploy-hook", hook]
    dewy = Dewy(tmp_path, 0, "assets", options=options)
    dewy.publish("v1.0.0")
    try:
        async with dewy:
            await dewy.runs("v1.0.0")
            await dewy.until(lambda now: now["last_poll"])
            dewy.publish("v1.1.0")
            await dewy.runs("v1.1.0")
    finally:
        for child in (dewy.root / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.parametrize("hook", ["exit 7", "kill -9 $$", "sleep 600"])
async def test_a_failing_after_hook_changes_nothing(tmp_path, unused_tcp_port, hook):
    """The application runs already; the failure is told."""
    options = ["--after-deploy-hook", hook, "--hook-timeout", "300ms"]
    dewy = Dewy(tmp_path, unused_tcp_port, options=options)
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.until(lambda now: now["last_poll"])
        status = await dewy.runs("v1.0.0")

        assert ([], []) == (status["degraded"], status["quarantine"])
        assert "v1.0.0" == await dewy.fetch()
        await eventually(lambda: "Execute hook failed" in dewy.log)

        async def recorded() -> bool:
            rows = [each.outcome for each in await roots.history(dewy.root)]
            return ["deployed", "hook failed"] == rows

        await eventually(recorded)
    assert 'msg="Execute hook failed" hook="After Deploy"' in dewy.log


async def test_hooks_get_the_environment_but_nothing_of_dewys_sockets(tmp_path):
    """Variables of the operator reach them; what a hook writes is not logged."""
    options = ["--before-deploy-hook", "env > environment; echo $PASSWORD"]
    variables = {"PASSWORD": "hunter22", "NOTIFY_SOCKET": "", "WATCHDOG_USEC": ""}
    dewy = Dewy(tmp_path, 0, "assets", options=options, variables=variables)
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
    lines = (dewy.root / "environment").read_text().splitlines()

    assert "PASSWORD=hunter22" in lines
    assert f"PWD={dewy.root}" in lines
    assert not [line for line in lines if line.startswith(("NOTIFY_", "WATCHDOG_"))]
    assert "hunter22" not in dewy.log
