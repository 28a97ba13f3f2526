"""What follows a deployment: beside the next one, and only while it is true."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dewy import follow_up
from dewy.deploy.changes import Change
from dewy.deploy.state import State
from dewy.errors import RateLimited
from tests.eventually import eventually
from tests.standins.agents import acting

WAITING = "until [ -e go-on ]; do sleep 0.02; done; "
LOGGED = 'echo "$DEWY_OUTCOME $DEWY_TAG" >> hooks'


async def test_follow_up_failure_is_logged_without_failing_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with acting(tmp_path) as hands:

        async def fail(*_: object, **__: object) -> None:
            raise ValueError("odd")

        monkeypatch.setattr(hands.agent.hooks, "after", fail)
        hands.publish("v1.0.0")
        await hands.tick()

        assert "v1.0.0" == hands.agent.state.running.tag
        assert "Follow-up of a deployment ran into a fault" in caplog.text


async def test_follow_up_is_cancelled_on_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And told: the log had no word of an after-hook that was killed half-way."""
    async with acting(tmp_path, after_deploy_hook=WAITING) as hands:
        hands.publish("v1.0.0")
        await hands.agent.tick()
        await hands.agent.follow_up.stop()
        await hands.agent.follow_up.stop()

        assert "v1.0.0" == hands.agent.state.running.tag
        (told,) = [r for r in caplog.records if "cut short" in r.getMessage()]
        assert ("after-hook", "v1.0.0") == (told.step, told.tag)  # type: ignore[attr-defined]


async def test_older_after_hook_holds_up_no_deployment(tmp_path: Path) -> None:
    """Neither its before-hook nor its start; after-hooks keep their order."""
    hook = f"echo began >> hooks; {WAITING}{LOGGED}"
    async with acting(
        tmp_path, before_deploy_hook=LOGGED, after_deploy_hook=hook
    ) as hands:
        for tag in ("v1.0.0", "v1.1.0"):
            hands.publish(tag)
            await hands.agent.tick()

        assert "v1.1.0" == hands.agent.state.running.tag
        (tmp_path / "go-on").touch()
        await hands.agent.follow_up.finished()

        assert [
            "pending v1.0.0",
            "began",
            "pending v1.1.0",
            "deployed v1.0.0",
            "began",
            "deployed v1.1.0",
        ] == (tmp_path / "hooks").read_text().splitlines()


async def test_after_hook_of_a_version_left_meanwhile_does_not_begin(
    tmp_path: Path,
) -> None:
    """It waited for an earlier one; "deployed" would not be true by then."""
    hook = f"{WAITING}{LOGGED}"
    async with acting(tmp_path, after_deploy_hook=hook) as hands:
        for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
            hands.publish(tag)
            await hands.agent.tick()
        (tmp_path / "go-on").touch()
        await hands.agent.follow_up.finished()

        assert ["deployed v1.0.0", "deployed v1.2.0"] == (
            (tmp_path / "hooks").read_text().splitlines()
        )


async def test_clean_up_is_skipped_during_another_change(
    tmp_path: Path,
) -> None:
    async with acting(tmp_path) as hands:
        agent, kept = hands.agent, []

        async def retain(state: State, *, cached: bool) -> None:
            kept.append(cached)

        agent.release_store.retain = retain  # type: ignore[method-assign]
        other = Change(agent.attempt("v2", "deploy", ""))
        agent.changes.current = other

        await agent.tidier.tidy(cached=True)
        assert [] == kept
        await agent.tidier.tidy(other, cached=False)
        agent.changes.current = None
        await agent.tidier.tidy(cached=True)
        assert [False, True] == kept


async def test_fetch_waits_until_nothing_is_being_removed(tmp_path: Path) -> None:
    async with acting(tmp_path) as hands:
        agent = hands.agent
        begun, go_on = asyncio.Event(), asyncio.Event()
        retain = agent.release_store.retain

        async def slow(state: State, **how: Any) -> None:
            begun.set()
            await go_on.wait()
            await retain(state, **how)

        agent.release_store.retain = slow  # type: ignore[method-assign]
        tidying = asyncio.create_task(agent.tidier.tidy(cached=True))
        await begun.wait()
        hands.publish("v1.0.0")
        poll = asyncio.create_task(hands.tick())
        await eventually(lambda: agent.changes.current is not None)
        assert "fetch" == agent.changes.current.attempt.step
        go_on.set()
        await asyncio.gather(tidying, poll)

        assert (tmp_path / "current/VERSION").read_text() == "v1.0.0"


async def test_report_comes_again_when_the_registry_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A busy registry costs no report; one that wants to be left for long does."""
    monkeypatch.setattr(follow_up, "SHORTEST_PAUSE", 0.0)
    async with acting(tmp_path) as hands:
        busy = RateLimited("busy", retry_after=0.0)
        hands.store.fail("report", busy, busy)
        hands.publish("v1.0.0")
        await hands.tick()
        hands.store.fail("report", RateLimited("busy", retry_after=3600.0))
        hands.publish("v1.1.0")
        await hands.tick()

        assert ["v1.0.0"] == [each.release.tag for each in hands.store.reports]
        assert 1 == caplog.messages.count("Deployment not reported")
