"""Containers that another program deployed while this dewy was away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.deploy.history import History
from tests.daemon.conftest import host as host
from tests.eventually import eventually
from tests.standins.container_lives import alive, published
from tests.standins.crews import original
from tests.standins.memory_host import MemoryHost

LONG_AGO = "2001-01-01T00:00:00+00:00"
ADOPTED = "Adopted release that another program deployed"


async def test_version_the_original_deployed_meanwhile_runs_from_now_on(
    tmp_path: Path, host: MemoryHost, caplog: pytest.LogCaptureFixture
):
    """The state names an older version; the registry is away."""
    async with alive(tmp_path, host) as life:
        await life.see("v1")
    published(host, "v2")
    for index in range(2):
        await original(host, index, "v2")
    left = set(host.held)
    async with alive(tmp_path, host) as life:
        state = life.handlers.agent.state
        assert ["v2"] * 2 == life.serving
        assert state.running is not None
        assert ("v2", "deployed by another program") == (
            state.running.tag,
            state.because,
        )
        assert state.previous is not None
        assert "v1" == state.previous.tag
        await life.handlers.poller.once()
        await eventually(lambda: not left & set(host.held))

        assert ["v2"] * 2 == life.serving
    assert 1 == caplog.messages.count(ADOPTED)
    rows = await asyncio.to_thread(History(tmp_path / ".dewy").read)
    assert [("v2", "v1", "deploy")] == [
        (row.tag, row.previous, row.action) for row in rows if row.outcome == "adopted"
    ]


@pytest.mark.parametrize(
    ("labels", "adopted"),
    [
        ({}, True),
        ({"dewy.deployed_at": LONG_AGO}, False),
        ({"dewy.deployed_at": "yesterday"}, False),
        ({"dewy.root": "other:/srv/shop", "dewy.digest": "{digest}"}, True),
        ({"dewy.root": "", "dewy.digest": "{digest}"}, False),
    ],
    ids=["original", "older", "undated", "other root", "own"],
)
async def test_only_younger_containers_of_others_count_as_deployed_meanwhile(
    tmp_path: Path, host: MemoryHost, labels: dict[str, str], adopted: bool
):
    async with alive(tmp_path, host) as life:
        await life.see("v1")
    digest = published(host, "v2").identity
    labels = {key: value.format(digest=digest) for key, value in labels.items()}
    await original(host, 0, "v2", **labels)
    async with alive(tmp_path, host) as life:
        running = life.handlers.agent.state.running

        assert running is not None
        assert ("v2" if adopted else "v1") == running.tag


async def test_version_in_quarantine_is_not_adopted_from_another_program(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host) as life:
        await life.see("v1")
        bad = published(host, "v2")
        await life.handlers.agent.state_store.condemn(
            "v2", bad.identity, "bad", life.handlers.agent.clock, traffic=True
        )
    await original(host, 0, "v2")
    async with alive(tmp_path, host) as life:
        running = life.handlers.agent.state.running

        assert running is not None
        assert "v1" == running.tag
