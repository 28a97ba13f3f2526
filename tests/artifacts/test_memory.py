"""What is particular about artifacts in memory; the rest is the contract."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.errors import ConfigError, RemoteError
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "//file", "/v1/file/more"])
def test_url_names_tag_and_file(path: str) -> None:
    with pytest.raises(ConfigError, match="NAME/TAG/FILE"):
        ARTIFACTS.open(f"mem://name{path}", Clients())


async def test_withdrawn_artifact_is_a_remote_error(tmp_path: Path) -> None:
    """Between choosing and fetching a release may be withdrawn."""
    store = MemoryStore.named(uuid.uuid4().hex)
    release = Release("v1/x", f"mem://{store.name}/v1%2Fx/a%20b", "one")
    artifacts = ARTIFACTS.open(release.artifact_url, Clients())
    store.publish("v1/x", {"a b": b"bytes"})
    await artifacts.fetch(release, tmp_path / "one", lambda done, total: None)
    store.withdraw("v1/x")

    with pytest.raises(RemoteError, match="v1/x"):
        await artifacts.fetch(release, tmp_path / "two", lambda done, total: None)
    assert ["one"] == os.listdir(tmp_path)


async def test_prepared_fault_breaks_reading_off() -> None:
    store = MemoryStore.named(uuid.uuid4().hex)
    store.publish("v1", {"file": b"", "sums": b"sums"})
    store.fail("read", RemoteError("the wire was cut"))
    artifacts = ARTIFACTS.open(f"mem://{store.name}/v1/file", Clients())
    release = Release("v1", f"mem://{store.name}/v1/file", "one")

    with pytest.raises(RemoteError, match="wire"):
        await artifacts.read(release, "sums", 10)

    assert b"sums" == await artifacts.read(release, "sums", 10)
    assert f"<MemoryArtifacts mem://{store.name}>" == repr(artifacts)
