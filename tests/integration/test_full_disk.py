"""Decisions of operators on a file system that is full, and the dewy after that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.standins.roots import say
from tests.standins.site import Dewy
from tests.standins.small_disks import fill, mounted


@pytest.fixture(params=["blocks", "inodes"])
def kind(request: pytest.FixtureRequest) -> str:
    """What the file system has no more of."""
    return str(request.param)


@pytest.fixture
async def dewy(tmp_path: Path, unused_tcp_port: int, kind: str) -> AsyncIterator[Dewy]:
    """v1.1.0 runs, v1.0.0 ran before; the root's file system is full."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    with mounted(dewy.root, kind):
        dewy.publish("v1.0.0")
        async with dewy:
            await dewy.runs("v1.0.0")
            dewy.publish("v1.1.0")
            await dewy.runs("v1.1.0")
            fill(dewy.root, kind)
            yield dewy


@pytest.mark.parametrize("ends", ["stop", "kill"])
async def test_rollback_on_full_disk_survives_restart(
    dewy: Dewy, kind: str, ends: str
) -> None:
    """Also that of what is said next; a full disk had brought v1.1.0 back."""
    assert 0 == (await say(dewy.root, "rollback")).status
    fill(dewy.root, kind)
    assert 0 == (await say(dewy.root, "hold")).status
    fill(dewy.root, kind)
    status = await dewy.runs("v1.0.0")
    assert [] == status["degraded"]
    await getattr(dewy, ends)()
    await dewy.start()

    status = await dewy.runs("v1.0.0")
    assert status["hold"]
    assert ["v1.1.0"] == [entry["tag"] for entry in status["quarantine"]]
    assert "v1.0.0" == await dewy.fetch()

    assert 0 == (await say(dewy.root, "unhold")).status
    fill(dewy.root, kind)
    assert 0 == (await say(dewy.root, "retry", "v1.1.0")).status
    await dewy.kill()
    assert 0 == (await say(dewy.root, "hold")).status
    await dewy.start()
    status = await dewy.runs("v1.0.0")
    assert (True, []) == (status["hold"], status["quarantine"])
