"""An artifact comes to this host once, whole and verified, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from dewy.artifacts import Progress
from dewy.caches import CACHES, Cache
from dewy.deploy.fetch import Fetcher, scope
from dewy.errors import ChecksumError, DeploymentError, RemoteError
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.versions import Platform, Selection

CONTENT = b"artifact" * 10_000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
FILE = "app.tar.gz"


class Host:
    """One host's fetcher, its cache, and the store it fetches from."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = MemoryStore.named(uuid.uuid4().hex)
        self.url = f"mem://{self.store.name}?artifact={FILE}"
        self.cache: Cache = CACHES.open(
            f"{(tmp_path / 'cache').as_uri()}?max-size=10MB", tmp_path
        )
        self.directory = tmp_path / "cache" / scope(self.url)
        self.staging = tmp_path / "staging"
        self.verify = "auto"

    @property
    def fetcher(self) -> Fetcher:
        """A new one each time, as after a restart."""
        return Fetcher(
            self.cache,
            Clients(),
            scope=scope(self.url),
            staging=self.staging,
            verify=self.verify,
        )

    async def current(self) -> Release:
        selection = Selection(platform=Platform("linux", "amd64"))
        return await REGISTRIES.open(self.url, selection, Clients()).current()

    async def fetch(self, release: Release) -> bytes:
        async with self.fetcher.staged(release) as path:
            return await asyncio.to_thread(path.read_bytes)

    def unplug(self) -> None:
        """From here on only the cache can help."""
        errors = [RemoteError("the store was asked")] * 9
        self.store.fail("fetch", *errors)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.store.publish("v1.0.0", {FILE: CONTENT})
    return made


async def test_artifact_is_staged_under_its_own_name(host: Host) -> None:
    """Its ending says how to unpack it; nothing stays when the block ends."""
    async with host.fetcher.staged(await host.current()) as path:
        assert FILE == path.name
        assert host.staging == path.parent.parent
        assert CONTENT == await asyncio.to_thread(path.read_bytes)

    assert [] == os.listdir(host.staging)


async def test_same_bytes_are_fetched_once(host: Host) -> None:
    release = await host.current()
    await host.fetch(release)
    host.unplug()

    assert CONTENT == await host.fetch(release)


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
    assert f"{scope(host.url)}/v1.0.0--{FILE}" == getattr(record, "key", "")


async def test_artifact_pushed_again_under_its_tag_is_fetched_again(
    host: Host,
) -> None:
    """A mutable tag does not bring back what it used to mean."""
    await host.fetch(await host.current())
    host.store.publish("v1.0.0", {FILE: b"another"})

    assert b"another" == await host.fetch(await host.current())
    host.unplug()
    assert b"another" == await host.fetch(await host.current())


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

    assert "Deleted a damaged artifact from the cache" in caplog.messages
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


async def test_nothing_unverified_enters_the_cache(host: Host) -> None:
    host.store.publish("v1.0.0", {FILE: CONTENT, f"{FILE}.sha256": b"0" * 64})

    with pytest.raises(ChecksumError):
        await host.fetch(await host.current())

    assert [] == await host.cache.keys()
    assert [] == os.listdir(host.staging)


async def test_published_checksum_lets_an_artifact_in(host: Host) -> None:
    host.verify = "required"
    sums = f"{DIGEST[7:]}  {FILE}\n".encode()
    host.store.publish("v1.0.0", {FILE: CONTENT, "SHA256SUMS": sums})

    assert CONTENT == await host.fetch(await host.current())


async def test_stricter_verification_does_not_trust_what_a_laxer_one_cached(
    host: Host,
) -> None:
    """`required` means of this deployment, not of the next download."""
    release = await host.current()
    await host.fetch(release)
    host.verify = "required"

    with pytest.raises(ChecksumError):
        await host.fetch(release)


async def test_laxer_verification_trusts_what_a_stricter_one_cached(
    host: Host,
) -> None:
    release = await host.current()
    await host.fetch(release)
    host.verify = "off"
    host.unplug()

    assert CONTENT == await host.fetch(release)


async def test_download_that_breaks_off_leaves_nothing(host: Host) -> None:
    host.store.fail("fetch", RemoteError("the wire was cut"))

    with pytest.raises(RemoteError, match="wire"):
        await host.fetch(await host.current())

    assert [] == os.listdir(host.staging)
    assert [] == await host.cache.keys()


async def test_deployment_that_fails_leaves_nothing_in_staging(host: Host) -> None:
    with pytest.raises(ZeroDivisionError):
        async with host.fetcher.staged(await host.current()):
            raise ZeroDivisionError

    assert [] == os.listdir(host.staging)


async def test_registries_that_share_a_cache_do_not_share_artifacts(
    host: Host, tmp_path: Path
) -> None:
    """Two applications may use the same tags and file names."""
    other = Host(tmp_path)
    other.store.publish("v1.0.0", {FILE: b"of the other application"})
    await host.fetch(await host.current())

    assert b"of the other application" == await other.fetch(await other.current())
    assert CONTENT == await host.fetch(await host.current())


def test_scope_is_of_the_registry_however_its_options_are_ordered() -> None:
    assert "d90ce60e2fbbb0e5" == scope("ghr://o/r?a=1&b=2")
    assert "d90ce60e2fbbb0e5" == scope("ghr://o/r?b=2&a=1")
    assert "d90ce60e2fbbb0e5" != scope("ghr://o/r?a=1&b=3")


class BrokenCache:
    """A cache on a disk that is gone."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)

    async def get(self, key: str) -> bytes | None:
        raise OSError(5, "Input/output error")

    async def load(self, key: str, into: Path) -> bool:
        raise RemoteError("no route to the cache")

    async def store(self, key: str, source: Path) -> bool:
        raise OSError(30, "Read-only file system")

    async def keys(self, prefix: str = "") -> list[str]:
        raise OSError(5, "Input/output error")

    def retain(self, keys: object) -> None:
        assert set() == keys


async def test_cache_that_fails_never_stops_a_deployment(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, and the store is asked instead."""
    host.cache = BrokenCache()
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
    host.cache = CACHES.open("file://?max-size=1kB", tmp_path / "small")

    assert CONTENT == await host.fetch(await host.current())
    assert [] == await host.cache.keys()


async def test_retained_versions_survive_eviction(host: Host, tmp_path: Path) -> None:
    host.cache = CACHES.open("file://?max-size=200kB", tmp_path / "small")
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


async def test_what_the_original_cached_is_used_where_a_digest_verifies_it(
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
async def test_what_the_original_cached_is_not_trusted_otherwise(
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


async def test_what_a_killed_dewy_left_in_staging_is_cleared(host: Host) -> None:
    await host.fetcher.clear()
    assert not host.staging.exists()
    (host.staging / "tmp123").mkdir(parents=True)
    (host.staging / "tmp123" / f"{FILE}.part").write_bytes(b"half")

    await host.fetcher.clear()

    assert not host.staging.exists()
    assert CONTENT == await host.fetch(await host.current())


async def test_staging_that_cannot_be_written_fails_the_deployment(
    host: Host, tmp_path: Path
) -> None:
    """With a reason, and as any other failure of a deployment."""
    (tmp_path / "staging").write_bytes(b"not a directory")

    with pytest.raises(DeploymentError, match="could not stage"):
        await host.fetch(await host.current())


async def test_memory_does_not_follow_the_size_of_an_artifact(
    host: Host, tmp_path: Path
) -> None:
    """Fetched, hashed and cached piece by piece; and so again from the cache."""
    path = tmp_path / FILE
    path.touch()
    os.truncate(path, 64 << 20)
    release = Release("v1.0.0", path.as_uri(), "one")
    host.cache = CACHES.open((tmp_path / "large").as_uri(), tmp_path)

    tracemalloc.start()
    try:
        for _ in range(2):
            async with host.fetcher.staged(release) as staged:
                assert 64 << 20 == os.stat(staged).st_size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 << 20


async def test_cancelled_fetch_leaves_nothing(host: Host) -> None:
    release = await host.current()
    begun = asyncio.Event()

    @contextmanager
    def shown(release: Release) -> Iterator[Progress]:
        yield lambda done, total: begun.set()

    fetcher = Fetcher(
        host.cache,
        Clients(),
        scope=scope(host.url),
        staging=host.staging,
        verify="auto",
        progress=shown,
    )

    async def fetch() -> None:
        async with fetcher.staged(release):
            await asyncio.Event().wait()

    fetching = asyncio.create_task(fetch())
    await asyncio.wait_for(begun.wait(), 10)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert [] == os.listdir(host.staging)
