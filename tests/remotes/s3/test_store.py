"""A bucket of S3, through faults; the rest is in the contracts."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError, RemoteError
from dewy.ioprocess import brief
from dewy.remotes.objects import Stat
from dewy.remotes.objects import s3 as module
from dewy.remotes.objects.client import Objects
from dewy.remotes.objects.s3 import S3Location, S3Store
from dewy.remotes.vendor_files import require_answers
from dewy.system import utc
from tests.needs import needs
from tests.standins import s3
from tests.standins.files import Fault
from tests.standins.front import Front
from tests.standins.fuse import hung, hung_threads
from tests.standins.s3 import S3Bucket, refused

MIB = 1 << 20


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def bucket(environment: None) -> S3Bucket:
    return await asyncio.to_thread(S3Bucket)


@pytest.fixture
async def front(bucket: S3Bucket) -> AsyncIterator[Front]:
    async with Front(s3.url()) as front:
        yield front


def opened(bucket: S3Bucket, endpoint: str = "") -> S3Store:
    return S3Location.read(urlsplit(bucket.url(endpoint=endpoint))).open()


@pytest.fixture
async def store(bucket: S3Bucket, front: Front) -> AsyncIterator[S3Store]:
    store = await asyncio.to_thread(opened, bucket, front.url)
    yield store
    await asyncio.to_thread(store.close)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
async def test_either_conflict_means_that_somebody_was_first(
    store: S3Store, front: Front, code: str
) -> None:
    """S3 answers 412, or 409 while another write is under way."""
    status = 409 if code.startswith("Conditional") else 412
    front.faults.append(refused(status, code))

    assert await asyncio.to_thread(store.put_if, "key", b"value", "") is None


@pytest.mark.parametrize("sums", [{}, {"ChecksumAlgorithm": "CRC32"}])
async def test_part_that_was_interrupted_is_sent_again(
    store: S3Store,
    bucket: S3Bucket,
    front: Front,
    sums: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With checksums, as Amazon has them, and without."""
    plain = module._config
    monkeypatch.setattr(module, "_config", lambda foreign: plain(not sums and foreign))
    upload = await asyncio.to_thread(store.upload, "key", 9 * MIB)
    front.faults.append(refused(500, "InternalError"))
    for piece in (bytes(8 * MIB), b"end"):
        await asyncio.to_thread(upload.write, piece)

    version = await asyncio.to_thread(upload.finish)

    stat = await asyncio.to_thread(store.stat, "key")
    assert stat is not None
    assert (8 * MIB + 3, version) == (stat.size, stat.version)
    assert bytes(8 * MIB) + b"end" == bucket.get("key")


async def test_upload_that_is_aborted_leaves_nothing(
    store: S3Store, bucket: S3Bucket
) -> None:
    upload = await asyncio.to_thread(store.upload, "key", 9 * MIB)
    await asyncio.to_thread(upload.write, bytes(8 * MIB))
    assert [] == bucket.keys()
    assert 1 == bucket.unfinished()

    await asyncio.to_thread(upload.abort)

    assert 0 == bucket.unfinished()


async def test_region_that_is_none_is_refused_at_once(environment: None) -> None:
    """What the region was forgotten in begins with the bucket."""
    place = S3Location("my-bucket", "app")

    with pytest.raises(ConfigError, match=r"my-bucket is no region"):
        await asyncio.to_thread(place.open)


async def test_any_region_will_do_elsewhere(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (await asyncio.to_thread(S3Location("garage", "app").open)).close()


async def test_profile_that_does_not_exist_is_refused_at_once(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(ConfigError, match="nobody"):
        await asyncio.to_thread(S3Location("eu-central-1", "app").open)


async def test_credentials_may_appear_later(
    bucket: S3Bucket, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a role come from a server, which may not answer at boot."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = await asyncio.to_thread(opened, bucket, front.url)
    with pytest.raises(RemoteError, match="no credentials"):
        await asyncio.to_thread(store.page, "", "", "")

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    assert () == (await asyncio.to_thread(store.page, "", "", "")).objects
    await asyncio.to_thread(store.close)


@pytest.fixture
def renew(
    environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], None]:
    """Writes credentials with another key into the file that holds them."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))

    def renew(key: str) -> None:
        path.write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n"
        )

    renew("OLD")
    return renew


@pytest.mark.parametrize(
    "refusal",
    [
        refused(400, "ExpiredToken"),
        refused(403, "InvalidAccessKeyId"),
        refused(403, "AccessDenied"),
        refused(401, ""),
    ],
)
async def test_renewed_credentials_are_read_after_a_refusal(
    renew: Callable[[str], None],
    bucket: S3Bucket,
    front: Front,
    refusal: Fault,
) -> None:
    """Within the same call, also where a HEAD leaves no room for the reason."""
    renew("OLD")
    store = await asyncio.to_thread(opened, bucket, front.url)
    async with Objects.lent(store) as objects:
        await objects.folders("")
        renew("NEW")
        front.faults.append(refusal)
        await objects.folders("")
        front.faults += [Fault(400)] * 2  # the other one asks for its region
        renew("NEWER")
        await objects.stat("key")

    keys = [
        each.partition("Credential=")[2].partition("/")[0] for each in front.authorized
    ]
    assert ["OLD", "NEW", "NEWER"] == list(dict.fromkeys(keys))


async def test_part_of_a_list_is_not_taken_for_the_whole(
    store: S3Store, front: Front
) -> None:
    """Some stores cut lists and do not say how to go on."""
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    front.faults.append(Fault(200, {"Content-Type": "application/xml"}, body))

    with pytest.raises(RemoteError, match="lists only a part"):
        await asyncio.to_thread(store.page, "", "", "")


async def test_store_that_ignores_the_range_is_not_read_to_the_end(
    store: S3Store, front: Front
) -> None:
    """The object may be larger than the memory."""
    stat = Stat("key", 8 * MIB, '"e"', utc(0))
    headers = {"ETag": '"e"', "Last-Modified": "Mon, 01 Jan 2029 00:00:00 GMT"}
    front.faults.append(Fault(200, headers, bytes(8 * MIB)))

    with pytest.raises(RemoteError, match="sent more than the 9 bytes asked for"):
        await asyncio.to_thread(store.piece, stat, 0, 9)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"x-amz-checksum-type": "FULL_OBJECT"}, {"crc32": b"\xcb\xf49&"}),
        ({"x-amz-checksum-type": "COMPOSITE"}, {}),
        ({}, {}),
    ],
)
async def test_only_sums_of_the_whole_are_compared(
    store: S3Store, front: Front, told: dict[str, str], expected: dict[str, bytes]
) -> None:
    """An object of several parts may have a sum of their sums instead."""
    headers = {
        "ETag": '"e"',
        "Content-Length": "9",
        "Last-Modified": "Mon, 01 Jan 2029 00:00:00 GMT",
        "x-amz-checksum-crc32": "y/Q5Jg==",
        **told,
    }
    front.faults.append(Fault(200, headers))

    stat = await asyncio.to_thread(store.stat, "key")

    assert stat is not None
    assert expected == stat.sums


@needs("fuse")
async def test_hung_home_keeps_no_thread_of_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of one that is opened now, nor of one that connects again."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(brief, "PATIENCE", 2.0)
    place = S3Location.read(urlsplit("s3://r/bucket?endpoint=http://127.0.0.1:9"))
    store = await asyncio.to_thread(place.open)
    store.close()
    with hung(tmp_path):
        for objects in (Objects.lent(store), Objects.opened(place)):
            with pytest.raises(RemoteError, match="could not read"):
                async with objects as bucket:
                    await bucket.stat("key")
        assert [] == hung_threads()
    async with asyncio.timeout(30):
        while not await answered(place.files):
            pass


async def answered(files: tuple[Path, ...]) -> bool:
    try:
        await require_answers(files)
    except RemoteError:
        return False
    return True


async def test_store_on_this_host_is_asked_without_a_proxy(
    bucket: S3Bucket,
    front: Front,
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
) -> None:
    """And another one through it, which is blamed for what it does not do."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    store = await asyncio.to_thread(opened, bucket, front.url)
    await asyncio.to_thread(store.page, "", "", "")
    store = await asyncio.to_thread(opened, bucket, "http://store.invalid")
    with pytest.raises(RemoteError, match=r"the proxy to .* could not be reached"):
        await asyncio.to_thread(store.page, "", "", "")


async def test_proxy_that_wants_a_login_is_told_as_that(
    bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        _, port = proxy.sockets[0].getsockname()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        store = await asyncio.to_thread(opened, bucket, "https://store.invalid")
        with pytest.raises(RemoteError, match=r"the proxy to .* answered 407: give"):
            await asyncio.to_thread(store.page, "", "", "")


async def test_broken_file_of_aws_is_told_when_the_bucket_is_asked(
    bucket: S3Bucket, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cache there must not keep a program from starting; mended, it serves."""
    config = tmp_path / "config"
    config.write_text("no section\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    store = await asyncio.to_thread(opened, bucket, front.url)

    with pytest.raises(RemoteError, match=r"configuration of AWS is wrong: .*config"):
        await asyncio.to_thread(store.page, "", "", "")

    config.write_text("")
    await asyncio.to_thread(store.page, "", "", "")
    await asyncio.to_thread(store.close)
