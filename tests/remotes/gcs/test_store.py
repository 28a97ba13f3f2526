"""A bucket of a stand-in for Google's, through faults; the rest is in the contracts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.errors import AccessRefused, ConfigError, RemoteError
from dewy.remotes.objects import Stat
from dewy.remotes.objects.gcs import GCSStore
from dewy.system import utc
from tests.standins.certificates import Authority
from tests.standins.files import Fault, FileServer
from tests.standins.front import Front
from tests.standins.gcs_bucket import GCSBucket


async def test_errors_of_writes_surface(store: GCSStore, front: Front) -> None:
    """An empty object too is only written when Google says so."""
    front.faults.append(Fault(403))

    with pytest.raises(RemoteError, match="403"):
        await asyncio.to_thread(store.put, "key", b"", "text/plain")


async def test_emulator_may_be_named_without_its_scheme(
    front: Front, bucket: GCSBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url.removeprefix("http://"))
    store = await asyncio.to_thread(GCSStore, bucket.name)

    assert () == (await asyncio.to_thread(store.page, "", "", "")).objects
    await asyncio.to_thread(store.close)


async def test_netrc_replaces_no_token(
    store: GCSStore, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it says of all hosts is not for Google."""
    (tmp_path / "netrc").write_text("default login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    await asyncio.to_thread(store.page, "", "", "")

    assert [""] == front.authorized


async def test_key_file_that_is_none_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await asyncio.to_thread(GCSStore, "releases")


async def test_credentials_may_appear_later(
    bucket: GCSBucket, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of a host come from a server, which may not answer at boot."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    store = await asyncio.to_thread(GCSStore, bucket.name)
    with pytest.raises(RemoteError, match="no credentials"):
        await asyncio.to_thread(store.page, "", "", "")

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
    assert () == (await asyncio.to_thread(store.page, "", "", "")).objects
    await asyncio.to_thread(store.close)


async def test_store_that_ignores_the_range_is_not_read_to_the_end(
    store: GCSStore, front: Front
) -> None:
    """The object may be larger than the memory."""
    front.faults.append(Fault(200, {}, bytes(8 << 20)))

    with pytest.raises(RemoteError, match="sent more than the 9 bytes asked for"):
        await asyncio.to_thread(store.piece, Stat("key", 8 << 20, "1", utc(0)), 0, 9)


async def test_credentials_are_found_anew_after_a_refusal(
    store: GCSStore, front: Front
) -> None:
    """Whoever keeps them may have renewed them."""
    await asyncio.to_thread(store.page, "", "", "")
    assert () == store.files
    front.faults.append(Fault(403))

    with pytest.raises(AccessRefused, match="403"):
        await asyncio.to_thread(store.stat, "key")

    assert () != store.files
    assert await asyncio.to_thread(store.stat, "key") is None


async def test_redirect_to_plain_text_is_refused(
    bucket: GCSBucket, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.cert))
    async with FileServer(authority.serving("127.0.0.1")) as secure:
        path = f"/storage/v1/b/{bucket.name}/o/key"
        secure.redirects[path] = front.url + path
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", secure.url)
        store = await asyncio.to_thread(GCSStore, bucket.name)
        with pytest.raises(RemoteError, match="redirects from https to plain http"):
            await asyncio.to_thread(store.stat, "key")
        await asyncio.to_thread(store.close)

    assert [] == front.seen


async def test_emulator_on_this_host_is_asked_without_a_proxy(
    front: Front,
    bucket: GCSBucket,
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
) -> None:
    """And another one through it, which is blamed for what it does not do."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    store = await asyncio.to_thread(GCSStore, bucket.name)
    await asyncio.to_thread(store.page, "", "", "")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://store.invalid")
    store = await asyncio.to_thread(GCSStore, bucket.name)
    with pytest.raises(RemoteError, match=r"the proxy to .* could not be reached"):
        await asyncio.to_thread(store.page, "", "", "")
