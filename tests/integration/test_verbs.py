"""What operators say, to a dewy that runs and to a root where none does."""

from __future__ import annotations

import json
from itertools import dropwhile

import pytest

from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.roots import Said, say
from tests.standins.site import Dewy


async def told(dewy: Dewy, *command: str) -> str:
    """Say something that works; return the answer, which follows the steps."""
    said = await say(dewy.root, *command)
    assert 0 == said.status, said.err
    answer = dropwhile(lambda line: line.startswith("  "), said.out.splitlines())
    return "\n".join(answer)


@pytest.fixture
async def dewy(tmp_path, unused_tcp_port):
    """v1.1.0 runs, v1.0.0 ran before."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.publish("v1.0.0")
    async with dewy:
        await dewy.runs("v1.0.0")
        dewy.publish("v1.1.0")
        await dewy.runs("v1.1.0")
        yield dewy


async def test_hold_keeps_the_version_and_survives_a_restart(dewy):
    answer = await told(dewy, "hold")
    assert answer.startswith("held at v1.1.0; `dewy unhold` ends it; should it fail")
    dewy.publish("v1.2.0")
    await dewy.stop()
    await dewy.start()
    await dewy.until(lambda now: now["last_poll"])
    status = await dewy.runs("v1.1.0")
    assert (True, []) == (status["hold"], status["degraded"])

    assert "no longer held" in await told(dewy, "unhold")
    await dewy.runs("v1.2.0")


async def test_rollback_quarantines_newer_version_until_retry(dewy):
    answer = await told(dewy, "rollback")
    assert answer.startswith("rolled back to v1.0.0; v1.1.0 stays out until")
    status = await dewy.runs("v1.0.0")
    assert "v1.0.0" == await dewy.fetch()
    assert [("v1.1.0", None)] == [(q["tag"], q["until"]) for q in status["quarantine"]]

    assert "v1.1.0 is out of quarantine" in await told(dewy, "retry", "v1.1.0")
    await dewy.runs("v1.1.0")
    actions = [record.action for record in await roots.history(dewy.root)]
    assert ["deploy", "deploy", "rollback"] == actions[:3]


async def test_rollback_under_hold_is_superseded_after_unhold(dewy):
    await told(dewy, "hold")
    await told(dewy, "rollback", "v1.0.0")
    assert (await dewy.runs("v1.0.0"))["hold"]
    await told(dewy, "unhold")
    dewy.publish("v1.2.0")
    await dewy.runs("v1.2.0")


async def test_failed_rollback_keeps_running_version(dewy):
    """The old generation never notices, and the version is not kept out."""
    running = roots.releases(dewy.root)
    old = next(name for name, version in running.items() if version == "v1.0.0")
    (dewy.root / "releases" / old / "program.py").write_text(programs.CRASHES)
    said = await say(dewy.root, "rollback")

    assert 1 == said.status
    assert "exit status 3" in said.err
    status = await dewy.runs("v1.1.0")
    assert [] == status["quarantine"]
    assert "v1.1.0" == await dewy.fetch()
    assert "v1.1.0" == (dewy.root / "current/VERSION").read_text()


async def test_deploy_acts_now_and_holds_an_older_version(dewy):
    assert "v1.1.0 runs" == await told(dewy, "deploy")
    answer = await told(dewy, "deploy", "v1.0.0")
    assert "v1.0.0 runs and is held, for v1.1.0 is newer" == answer
    assert (await dewy.runs("v1.0.0"))["hold"]
    refused = await say(dewy.root, "deploy")
    assert (1, True) == (refused.status, "dewy unhold" in refused.err)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["deploy", "v9.9.9"], "v9.9.9"),
        (["retry", "v1.0.0"], "v1.0.0 is not in quarantine"),
        (["rollback", "v9.9.9"], "v9.9.9 is not on this host"),
        (["rollback", "v1.1.0"], "v1.1.0 runs already"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_impossible_command_is_refused_with_single_line_error(dewy, command, why):
    said = await say(dewy.root, *command)

    assert_refused(said, why)
    await dewy.runs("v1.1.0")


async def test_status_and_history_tell_people_and_programs(dewy):
    dewy.publish("v1.2.0", programs.CRASHES)
    reason = await dewy.refuses("v1.2.0")
    await eventually(lambda: 'msg="Deployment failed"' in dewy.log)
    assert "Poll failed" not in dewy.log

    checked = await say(dewy.root, "status", "--check")
    assert 1 == checked.status
    assert "v1.1.0 is degraded: " in checked.out.splitlines()[0]
    assert f"v1.2.0: {reason}" in checked.out
    status = json.loads(await told(dewy, "status", "--json"))
    assert ("v1.1.0", "v1.0.0") == (status["running"]["tag"], status["previous"]["tag"])
    assert f"v1.2.0 failed at start: {reason}" not in status["last_error"]
    records = json.loads(await told(dewy, "history", "--json"))
    assert reason == records[-1]["reason"]
    assert ["no database"] == records[-1]["log_tail"]
    assert reason in await told(dewy, "history", "-n", "1")
    dewy.publish("v1.3.0")
    await dewy.runs("v1.3.0")
    await dewy.until(lambda now: now["degraded"] == [])
    assert 0 == (await say(dewy.root, "status", "--check")).status


async def test_verbs_reach_a_root_where_no_dewy_runs(dewy):
    """The next dewy does as it was told."""
    await dewy.stop()
    degraded = await say(dewy.root, "status", "--check")
    assert (1, True) == (degraded.status, "no dewy runs" in degraded.out)

    await told(dewy, "rollback")
    await dewy.start()
    await dewy.until(lambda now: now["last_poll"])
    await dewy.runs("v1.0.0")
    assert "v1.0.0" == await dewy.fetch()

    await dewy.stop()
    await told(dewy, "retry", "v1.1.0")
    await told(dewy, "hold")
    await dewy.start()
    await dewy.until(lambda now: now["last_poll"])
    await dewy.runs("v1.0.0")

    await dewy.stop()
    await told(dewy, "unhold")
    await dewy.start()
    await dewy.runs("v1.1.0")

    await dewy.stop()
    registry = f"file://{dewy.registry}"
    await told(dewy, "deploy", "v1.0.0", "--registry", registry)
    await dewy.start()
    status = await dewy.until(lambda now: now["hold"])
    assert "v1.0.0" == status["running"]["tag"]


async def test_a_slip_of_the_working_directory_is_noticed(tmp_path):
    assert_refused(await say(tmp_path, "hold"), "no dewy has ever worked in")


async def test_once_deploys_and_leaves(tmp_path):
    dewy = Dewy(tmp_path, command="assets", options=["--once"])
    dewy.publish("v1.0.0")
    assert 0 == await (await dewy.start()).exit_status()
    assert "v1.0.0" == (dewy.root / "current/VERSION").read_text()

    programs.publish(dewy.registry, "v1.1.0", b"no archive")
    assert 1 == await (await dewy.start()).exit_status()
    assert "v1.0.0" == (dewy.root / "current/VERSION").read_text()


async def test_once_keeps_a_program_running_and_looks_no_more(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(tmp_path, unused_tcp_port, options=["--once"])
    dewy.publish("v1.0.0")
    async with dewy:
        status = await dewy.until(lambda now: now["last_poll"])
        assert None is status["next_poll"]
        dewy.publish("v1.1.0")
        await told(dewy, "unhold")  # would wake a poller
        assert "v1.0.0" == await dewy.fetch()
        assert "v1.1.0 runs" == await told(dewy, "deploy")
        assert "v1.1.0" == await dewy.fetch()


def assert_refused(said: Said, why: str) -> None:
    steps = said.out.splitlines()
    assert 1 == said.status
    assert all(step.startswith("  ") for step in steps)
    assert said.err.startswith("dewy: error: ")
    assert why in said.err
    assert 1 == said.err.count("\n")


async def test_logs_command_shows_program_output(dewy):
    """Each line after who wrote it, in the log as it was."""
    talks = programs.PROGRAM.read_text()
    dewy.publish("v1.2.0", f"print('one\\ntwo', flush=True)\n{talks}")
    await dewy.runs("v1.2.0")
    assert "generation 3 | two" == await told(dewy, "logs", "-n", "1")
    assert "\none\ntwo\n" in dewy.log
    refused = await say(dewy.root, "logs", "--generation", "1")
    assert 1 == refused.status
    assert "no generation 1 is here (there are: 3)" in refused.err


async def test_why_is_told_with_dewy_and_without(dewy):
    dewy.publish("v1.2.0", programs.CRASHES)
    await dewy.refuses("v1.2.0")
    there = await told(dewy, "why", "v1.2.0")
    await dewy.stop()
    gone = await told(dewy, "why", "v1.2.0", "--registry", f"file://{dewy.registry}")

    for answer in (there, gone):
        assert "v1.2.0: quarantined" == answer.splitlines()[0]
        assert "    no database" == answer.splitlines()[-1]
    assert (await told(dewy, "why", "v1.1.0")).startswith("v1.1.0: current\n")
