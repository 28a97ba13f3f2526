"""The operator's hooks round a deployment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from dewy.config import Reloadable, Settings
from dewy.deploy.changes import Attempt
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.fetch import Fetcher
from dewy.deploy.history import History
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.release_store import UnpackedReleaseStore
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed
from dewy.errors import HookFailed
from dewy.notifiers import NoticeKind
from dewy.notifiers.memory import MemoryNotifier
from dewy.system import Clock

ATTEMPT = Attempt("v2", "v1", "deploy", 0.0)
TARGET = Installed("v2", "b", "20310203T040506Z", 1.0)
TELL = (
    'echo "$DEWY_TAG $DEWY_PREVIOUS_TAG $DEWY_RELEASE_DIR $DEWY_OUTCOME $PWD" >> told'
)


@pytest.fixture
def memory() -> MemoryNotifier:
    return MemoryNotifier(urlsplit("mem://people"))


def files(root: Path) -> UnpackedReleaseStore:
    """Only where releases are matters to hooks."""
    return UnpackedReleaseStore(Releases(root), cast("Fetcher", None))


async def run(root: Path, memory: MemoryNotifier, before: str, after: str) -> None:
    settings = Settings(
        command="assets",
        root=root,
        cache_dir=root,
        before_deploy_hook=before,
        after_deploy_hook=after,
        hook_timeout=30,
    )
    async with DeploymentLog(History(root), (memory,), Clock()) as deployment_log:
        hooks = DeployHooks(Reloadable(settings), files(root), deployment_log)
        await hooks.before(ATTEMPT, TARGET)
        await hooks.after(ATTEMPT, TARGET)


async def test_hooks_receive_tags_and_outcome(tmp_path: Path, memory: MemoryNotifier):
    await run(tmp_path, memory, TELL, TELL)

    told = await asyncio.to_thread((tmp_path / "told").read_text)
    release = tmp_path / "releases" / TARGET.directory
    assert [
        f"v2 v1 {release} pending {tmp_path}",
        f"v2 v1 {release} deployed {tmp_path}",
    ] == told.splitlines()


async def test_a_before_hook_that_fails_ends_the_deployment(
    tmp_path: Path, memory: MemoryNotifier
):
    with pytest.raises(HookFailed, match=r"before-deploy hook .*3") as failure:
        await run(tmp_path, memory, "echo no backup >&2; exit 3", TELL)

    assert ("no backup",) == failure.value.log_tail
    assert "echo no backup >&2; exit 3: no backup" == failure.value.detail
    assert not (tmp_path / "told").exists()
    (notice,) = memory.sent
    assert (NoticeKind.HOOK, "Before Deploy hook failed: exit code 3") == (
        notice.kind,
        notice.text,
    )


async def test_an_after_hook_that_fails_is_told_and_recorded(
    tmp_path: Path, memory: MemoryNotifier
):
    """With its command and the end of both streams, for those who may read them."""
    command = "seq 100; echo no cache >&2; exit 1"
    await run(tmp_path, memory, "", command)

    (notice,) = memory.sent
    assert "After Deploy hook failed: exit code 1" == notice.text
    (record,) = await asyncio.to_thread(History(tmp_path).read)
    assert ("hook failed", "after-hook", "v2", "v1") == (
        record.outcome,
        record.step,
        record.tag,
        record.previous,
    )
    assert "the after-deploy hook failed: exit code 1" == record.reason
    assert f"{command}: no cache" == record.detail
    assert ("99", "100", "no cache") == record.log_tail[-3:]
    assert ATTEMPT.id == record.id


async def test_reason_on_standard_output_is_kept(
    tmp_path: Path, memory: MemoryNotifier
):
    with pytest.raises(HookFailed) as failure:
        await run(tmp_path, memory, "echo no backup; exit 3", "")

    assert ("no backup",) == failure.value.log_tail


async def test_no_hook_is_no_notice(tmp_path: Path, memory: MemoryNotifier):
    await run(tmp_path, memory, "", "")

    assert [] == memory.sent
