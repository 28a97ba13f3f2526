"""With keys, an artifact comes to this host signed with one of them, or not at all."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.deploy.signatures import Key, minisign, openpgp
from dewy.deploy.signatures.verification import LIMIT
from dewy.errors import ChecksumError, RemoteError, SignatureError
from tests.deploy.fetching import CONTENT, FILE, Host
from tests.deploy.signatures.conftest import Making, gnupg
from tests.deploy.signatures.signing import Minisign

__all__ = ["gnupg"]

SIGNATURE = f"{FILE}.minisig"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path) as made:
        yield made


@pytest.fixture
def pair(host: Host) -> Minisign:
    """The key pair whose public key *host* is given."""
    made = Minisign()
    trust(host, made)
    return made


def trust(host: Host, *pairs: Minisign) -> None:
    found = [minisign.read(pair.public) for pair in pairs]
    host.keys = tuple(key for key in found if key is not None)


def publish(host: Host, content: bytes, signature: bytes | None) -> None:
    files = (
        {FILE: content} if signature is None else {FILE: content, SIGNATURE: signature}
    )
    host.store.publish("v1.0.0", files)


async def refused(host: Host, reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        await host.fetch(await host.current())
    assert [] == os.listdir(host.staging)


async def test_signed_artifact_is_staged(host: Host, pair: Minisign) -> None:
    publish(host, CONTENT, pair.sign(CONTENT))

    assert CONTENT == await host.fetch(await host.current())


async def test_signature_is_never_the_artifact(host: Host, pair: Minisign) -> None:
    publish(host, CONTENT, pair.sign(CONTENT))
    current = await host.current()

    assert (FILE, (SIGNATURE,)) == (current.file, current.files)


async def test_altered_artifact_is_refused_and_not_cached(
    host: Host, pair: Minisign
) -> None:
    publish(host, b"altered", pair.sign(CONTENT))

    await refused(host, rf"^signature of {FILE} does not verify")
    assert [] == await host.cache.keys()


async def test_artifact_signed_by_another_is_refused(
    host: Host, pair: Minisign
) -> None:
    publish(host, CONTENT, Minisign().sign(CONTENT))

    await refused(host, rf"^signature of {FILE} does not verify")


async def test_unsigned_artifact_is_refused_before_download(
    host: Host, pair: Minisign
) -> None:
    publish(host, CONTENT, None)
    host.unplug()

    await refused(host, rf"^{FILE} has no signature; publish {SIGNATURE} beside it")


async def test_checksum_does_not_stand_in_for_a_signature(
    host: Host, pair: Minisign
) -> None:
    sums = {f"{FILE}.sha256": b"0" * 64, SIGNATURE: pair.sign(CONTENT)}
    host.store.publish("v1.0.0", {FILE: CONTENT, **sums})

    with pytest.raises(ChecksumError):
        await host.fetch(await host.current())


async def test_oversize_signature_is_not_read(host: Host, pair: Minisign) -> None:
    publish(host, CONTENT, pair.sign(CONTENT) + b"\n" * LIMIT)

    with pytest.raises(RemoteError, match=f"larger than {LIMIT} bytes"):
        await host.fetch(await host.current())


async def test_signed_artifact_comes_out_of_cache_without_its_store(
    host: Host, pair: Minisign
) -> None:
    """A rollback must not hang on a store that is away."""
    publish(host, CONTENT, pair.sign(CONTENT))
    release = await host.current()
    await host.fetch(release)
    host.unplug()
    host.store.fail("read", RemoteError("the store was asked"))

    assert CONTENT == await host.fetch(release)


async def test_cached_artifact_is_verified_with_the_keys_of_now(
    host: Host, pair: Minisign
) -> None:
    publish(host, CONTENT, pair.sign(CONTENT))
    release = await host.current()
    await host.fetch(release)
    trust(host, Minisign())

    await refused(host, "does not verify")
    trust(host, Minisign(), pair)
    assert CONTENT == await host.fetch(release)


async def test_artifact_cached_unverified_is_verified_later(
    host: Host, pair: Minisign
) -> None:
    keys, host.keys = host.keys, ()
    publish(host, CONTENT, Minisign().sign(CONTENT))
    await host.fetch(await host.current())
    host.keys = keys

    await refused(host, "does not verify")


async def test_artifact_cached_unverified_takes_its_signature_from_the_store(
    host: Host, pair: Minisign
) -> None:
    keys, host.keys = host.keys, ()
    publish(host, CONTENT, pair.sign(CONTENT))
    await host.fetch(await host.current())
    host.keys = keys
    host.unplug()

    assert CONTENT == await host.fetch(await host.current())


@pytest.mark.parametrize("content", [b"", b"x" * (LIMIT + 1)], ids=["empty", "large"])
async def test_spoilt_signature_in_cache_keeps_nothing_out(
    host: Host, pair: Minisign, content: bytes
) -> None:
    publish(host, CONTENT, pair.sign(CONTENT))
    release = await host.current()
    await host.fetch(release)
    [key] = [key for key in await host.cache.keys() if key.endswith(".minisig")]
    await host.cache.put(key, content)

    assert CONTENT == await host.fetch(release)


async def test_cached_artifact_failing_verification_is_invalidated(
    host: Host, pair: Minisign
) -> None:
    """Hosts that wait for each other's downloads would wait for it again."""
    publish(host, CONTENT, Minisign().sign(CONTENT))
    keys, host.keys = host.keys, ()
    release = await host.current()
    await host.fetch(release)
    host.keys = keys

    async with host.fetcher.shelved(release) as path:
        assert path is None
    assert not await host.fetcher.has(release)


async def test_unsigned_artifact_in_cache_stays_for_others(
    host: Host, pair: Minisign
) -> None:
    keys, host.keys = host.keys, ()
    publish(host, CONTENT, None)
    release = await host.current()
    await host.fetch(release)
    host.keys = keys

    with pytest.raises(SignatureError, match="has no signature"):
        async with host.fetcher.shelved(release):
            pass
    assert await host.fetcher.has(release)


@pytest.fixture
def signed(gnupg: Making) -> tuple[Key, bytes]:
    """A key of OpenPGP, and a signature by it."""
    pair = gnupg()
    key = openpgp.read(pair.public)
    assert key is not None
    return key, pair.sign(CONTENT)


async def test_signature_of_openpgp_is_verified(
    host: Host, signed: tuple[Key, bytes]
) -> None:
    key, signature = signed
    host.keys = (key,)
    files = {FILE: CONTENT, f"{FILE}.asc": signature}
    host.store.publish("v1.0.0", files)
    assert CONTENT == await host.fetch(await host.current())

    host.store.publish("v1.0.0", {**files, FILE: b"altered"})
    await refused(host, "does not verify")
