"""What the cache holds of a registry, and when it is trusted."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

import pytest

from dewy.deploy.artifact_cache import CachedArtifact
from dewy.deploy.fetch import scope
from dewy.errors import ChecksumError, RemoteError
from dewy.release import Release
from tests.deploy.fetching import CONTENT, DIGEST, FILE, Host

MANIFEST = CachedArtifact(
    sha256="ab" * 32,
    size=7,
    identity="file:7:1:2",
    verified="auto",
    published_at="2031-02-03T04:05:06+00:00",
    published_by="web-01",
)
RELEASE = Release("v1.0.0", "file:///app.tgz", "file:7:1:2")


def test_manifest_round_trips_through_json() -> None:
    assert MANIFEST == CachedArtifact.parse(json.dumps(asdict(MANIFEST)).encode())


def test_field_of_a_later_dewy_is_no_obstacle() -> None:
    text = json.dumps({**asdict(MANIFEST), "compressed": True}).encode()

    assert MANIFEST == CachedArtifact.parse(text)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"7", b"{}", b"\xff", b"[" * 200_000],
    ids=lambda t: repr(t)[:9],
)
def test_anything_else_is_no_manifest(text: bytes) -> None:
    assert CachedArtifact.parse(text) is None


def test_manifest_is_valid_only_for_same_identity() -> None:
    assert MANIFEST.vouches_for(RELEASE, "auto")
    assert not MANIFEST.vouches_for(replace(RELEASE, identity="file:7:1:3"), "auto")


def test_stated_digest_has_to_agree() -> None:
    other = f"sha256:{'cd' * 32}"

    assert MANIFEST.vouches_for(replace(RELEASE, digest=f"sha256:{'ab' * 32}"), "auto")
    assert not MANIFEST.vouches_for(replace(RELEASE, digest=other), "auto")


@pytest.mark.parametrize(
    ("verified", "mode", "enough"),
    [
        ("off", "off", True),
        ("off", "auto", False),
        ("auto", "off", True),
        ("auto", "required", False),
        ("required", "auto", True),
        ("required", "required", True),
        ("nonsense", "off", False),
    ],
)
def test_verification_has_to_have_been_as_strict(
    verified: str, mode: str, enough: bool
) -> None:
    manifest = replace(MANIFEST, verified=verified)

    assert enough == manifest.vouches_for(RELEASE, mode)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path) as made:
        made.store.publish("v1.0.0", {FILE: CONTENT})
        yield made


async def test_cached_artifact_has_a_manifest(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await host.fetch(await host.current())

    assert [f"v1.0.0--{FILE}", f"v1.0.0--{FILE}.json"] == (
        sorted(os.listdir(host.directory))
    )
    manifest = json.loads((host.directory / f"v1.0.0--{FILE}.json").read_text())
    assert DIGEST == f"sha256:{manifest['sha256']}"
    assert ("mem:1", len(CONTENT)) == (manifest["identity"], manifest["size"])
    [record] = [r for r in caplog.records if r.getMessage() == "Cached artifact"]
    assert f"{scope(host.url)}/v1.0.0--{FILE}" == getattr(record, "cache_key", "")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    os.truncate(path, 1)


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short])
async def test_damaged_artifact_in_the_cache_is_fetched_again(
    host: Host,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A short file left by a crash, or a disk that forgets, is never deployed."""
    release = await host.current()
    await host.fetch(release)
    damage(host.directory / f"v1.0.0--{FILE}")

    assert CONTENT == await host.fetch(release)

    assert "Found a damaged artifact in the cache" in caplog.messages
    host.unplug()
    assert CONTENT == await host.fetch(release)


async def test_damaged_manifest_is_told_and_replaced(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    release = await host.current()
    await host.fetch(release)
    (host.directory / f"v1.0.0--{FILE}.json").write_text("garbage")

    assert CONTENT == await host.fetch(release)
    assert "Found a damaged manifest in the cache" in caplog.messages
    host.unplug()
    assert CONTENT == await host.fetch(release)


async def test_artifact_without_a_manifest_does_not_count(host: Host) -> None:
    """The manifest is written last: what lacks one was never finished."""
    release = await host.current()
    await host.fetch(release)
    (host.directory / f"v1.0.0--{FILE}.json").unlink()
    host.unplug()

    with pytest.raises(RemoteError):
        await host.fetch(release)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"null", b"\xff"])
async def test_manifest_that_cannot_be_read_does_not_count(
    host: Host, text: bytes
) -> None:
    release = await host.current()
    await host.fetch(release)
    (host.directory / f"v1.0.0--{FILE}.json").write_bytes(text)

    assert CONTENT == await host.fetch(release)


async def test_artifact_cached_under_laxer_verification_is_rejected(
    host: Host,
) -> None:
    """`required` means of this deployment, not of the next download."""
    release = await host.current()
    await host.fetch(release)
    host.verify = "required"

    with pytest.raises(ChecksumError):
        await host.fetch(release)


async def test_artifact_cached_under_stricter_verification_is_reused(
    host: Host,
) -> None:
    release = await host.current()
    await host.fetch(release)
    host.verify = "off"
    host.unplug()

    assert CONTENT == await host.fetch(release)


class BrokenCache:
    """A cache on a disk that is gone."""

    def __init__(self, unreachable: Exception) -> None:
        self.unreachable = unreachable

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)

    async def get(self, key: str) -> bytes | None:
        raise OSError(5, "Input/output error")

    async def load(self, key: str, into: Path) -> bool:
        raise self.unreachable

    async def store(self, key: str, source: Path) -> bool:
        raise OSError(30, "Read-only file system")

    async def keys(self, prefix: str = "") -> list[str]:
        raise OSError(5, "Input/output error")

    def retain(self, keys: object) -> None:
        assert set() == keys


@pytest.mark.parametrize("error", [RemoteError("no route"), ZeroDivisionError("0")])
async def test_cache_that_fails_never_stops_a_deployment(
    host: Host, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """It is told once, and the store is asked instead; a plugin may raise anything."""
    host.cache = BrokenCache(error)
    fetcher = host.fetcher
    release = await host.current()

    for _ in range(2):
        async with fetcher.staged(replace(release, digest=DIGEST)) as path:
            assert CONTENT == await asyncio.to_thread(path.read_bytes)
    await fetcher.retain(["v1.0.0"])

    told = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert ["Went on without the cache"] == [r.getMessage() for r in told]


async def test_cache_that_is_too_small_is_no_obstacle(
    host: Host, tmp_path: Path
) -> None:
    host.cache = host.opened("file://?max-size=1kB", tmp_path / "small")

    assert CONTENT == await host.fetch(await host.current())
    assert [] == await host.cache.keys()


async def test_retained_versions_survive_eviction(host: Host, tmp_path: Path) -> None:
    host.cache = host.opened("file://?max-size=200kB", tmp_path / "small")
    fetcher = host.fetcher
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        host.store.publish(tag, {FILE: CONTENT})
        async with fetcher.staged(await host.current()):
            pass
        await fetcher.retain(["v1.0.0"])

    keys = await host.cache.keys()
    assert [f"{scope(host.url)}/{tag}--{FILE}" for tag in ("v1.0.0", "v1.2.0")] == [
        key for key in keys if not key.endswith(".json")
    ]


async def test_artifact_cached_by_original_with_valid_digest_is_used(
    host: Host, tmp_path: Path
) -> None:
    host.store.publish("v1.0.0", {FILE: CONTENT}, digest=DIGEST)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"v1.0.0--{FILE}").write_bytes(CONTENT)
    host.unplug()

    assert CONTENT == await host.fetch(await host.current())
    assert f"{scope(host.url)}/v1.0.0--{FILE}" in await host.cache.keys()


@pytest.mark.parametrize(
    ("content", "digest"), [(CONTENT, ""), (b"another application's", DIGEST)]
)
async def test_unverifiable_artifact_cached_by_original_is_not_used(
    host: Host, tmp_path: Path, content: bytes, digest: str
) -> None:
    """Its keys were shared by all registries, and its files could be short."""
    host.store.publish("v1.0.0", {FILE: CONTENT}, digest=digest)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"v1.0.0--{FILE}").write_bytes(content)
    host.unplug()

    with pytest.raises(RemoteError, match="store was asked"):
        await host.fetch(await host.current())
    assert content == (tmp_path / "cache" / f"v1.0.0--{FILE}").read_bytes()


async def test_tag_of_any_characters_has_a_key(host: Host) -> None:
    """Git tags hold slashes; no tag leads out of the cache."""
    for tag in ("release/v1", "../../etc", ".hidden", "a\\b%2F", "v1+blue"):
        url = f"mem://{host.store.name}/x/{FILE}"
        host.store.publish("x", {FILE: CONTENT})
        release = Release(tag, url, "one")

        await host.fetch(release)

    assert [
        f"%2E.%2F..%2Fetc--{FILE}",
        f"%2Ehidden--{FILE}",
        f"a%5Cb%252F--{FILE}",
        f"release%2Fv1--{FILE}",
        f"v1+blue--{FILE}",
    ] == sorted(n for n in os.listdir(host.directory) if not n.endswith(".json"))
