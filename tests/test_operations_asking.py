"""Verbs said while the registry is asked: the last word is what counts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.changes import Cancelled
from dewy.errors import DewyError
from tests.standins.sites import Gate, Site, sited


@contextmanager
def slow_registry(
    site: Site, monkeypatch: pytest.MonkeyPatch, tag: str | None
) -> Iterator[Gate]:
    """Have the next look for *tag* wait at the gate."""
    asking, look = Gate(), type(site.agent).look

    async def waits(agent, wanted=None):
        found = await look(agent, wanted)
        if wanted == tag:
            await asking()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(type(site.agent), "look", waits)
        yield asking


@asynccontextmanager
async def asked(
    root: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> AsyncIterator[tuple[Site, Gate, asyncio.Task[str]]]:
    """A deployment of v1.2.0 whose registry is asked for *version* just now."""
    async with sited(root) as site:
        site.hands.publish("v1.2.0")
        with slow_registry(site, monkeypatch, version) as asking:
            deploy = asyncio.create_task(site.deploy(version))
            await asking.reached.wait()
            yield site, asking, deploy


@pytest.mark.parametrize("version", [None, "v1.2.0"])
async def test_rollback_calls_off_a_deployment_that_asks_the_registry(
    version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with asked(tmp_path, monkeypatch, version) as (site, asking, deploy):
        assert "rolled back to v1.0.0" in await site.roll_back()
        asking.opened.set()

        with pytest.raises(Cancelled, match="rolled back by operator"):
            await deploy
        assert "v1.0.0" == site.running


async def test_abort_calls_off_a_deployment_that_asks_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with asked(tmp_path, monkeypatch, "v1.2.0") as (site, asking, deploy):
        answer = await site.operations.abort()
        asking.opened.set()

        assert "the deployment was aborted; v1.1.0 runs" == answer
        with pytest.raises(Cancelled, match="aborted by operator"):
            await deploy
        assert ("v1.1.0", []) == (site.running, site.quarantined())


async def test_rollback_that_cannot_be_done_calls_off_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with asked(tmp_path, monkeypatch, "v1.2.0") as (site, asking, deploy):
        with pytest.raises(DewyError, match="not on this host"):
            await site.roll_back("v0.1.0")
        asking.opened.set()

        assert "v1.2.0 runs" == await deploy


async def test_client_that_leaves_while_the_registry_is_asked_gets_nothing_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with asked(tmp_path, monkeypatch, "v1.2.0") as (site, _, deploy):
        deploy.cancel()
        await asyncio.wait({deploy})

        assert deploy.cancelled()
        with pytest.raises(DewyError, match="nothing to abort"):
            await site.operations.abort()
        assert "v1.1.0" == site.running


async def test_rollback_overrides_deploy_requested_before_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        store = site.agent.state_store
        await store.note(lambda state: replace(state, wanted="v1.2.0"))
        with slow_registry(site, monkeypatch, "v1.2.0") as asking:
            poll = asyncio.create_task(site.agent.tick())
            await asking.reached.wait()
            assert "rolled back to v1.0.0" in await site.roll_back()
            asking.opened.set()
            await poll

        assert "v1.0.0" == site.running


async def test_deploy_during_lost_release_lookup_is_not_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The lost one is older; it took the place of the new one."""
    async with sited(tmp_path) as site:
        lost, clock = site.agent.state.running, site.agent.clock
        site.hands.publish("v1.2.0")
        newest = await site.agent.look()
        assert newest is not None
        assert lost is not None
        failed = ("v1.2.0", newest.identity, "failed", clock)
        await site.agent.state_store.condemn(*failed, traffic=False)
        await asyncio.to_thread(shutil.rmtree, tmp_path / "releases" / lost.directory)
        with slow_registry(site, monkeypatch, "v1.1.0") as asking:
            poll = asyncio.create_task(site.agent.tick())
            await asking.reached.wait()
            assert "v1.2.0 runs" == await site.deploy("v1.2.0")
            asking.opened.set()
            await poll

        assert "v1.2.0" == site.running


async def test_search_that_a_library_cancelled_is_told_to_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    async with sited(tmp_path) as site:
        monkeypatch.setattr(type(site.agent), "look", cancelled)
        with pytest.raises(Cancelled, match="not by dewy"):
            await site.deploy("v1.0.0")
