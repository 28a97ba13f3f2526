from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Coroutine
from pathlib import Path

import aiohttp
import pytest

from dewy.errors import DeploymentError, RateLimited, RemoteError
from dewy.remotes.download import Effort, download
from tests.standins.certificates import Authority
from tests.standins.files import Fault, FileServer

MEBI = 1 << 20


Fetch = Callable[..., Coroutine[None, None, None]]


def content(path: Path) -> bytes:
    """What a download brought."""
    return path.read_bytes()


def left(into: Path) -> list[str]:
    """The names beside *into*, and its own."""
    return [path.name for path in into.parent.iterdir()]


async def test_file_arrives_whole(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Under its own name, with nothing beside it, in one request."""
    await fetch(expected=len(body))

    assert body == content(into)
    assert ["app.tar.gz"] == left(into)
    assert [None] == server.ranges()
    assert "identity" == server.seen[0].headers["Accept-Encoding"]


async def test_memory_does_not_follow_size(body: bytes, fetch: Fetch) -> None:
    """The body is written piece by piece, each of about a mebibyte."""
    told: list[tuple[int, int | None]] = []
    await fetch(progress=lambda done, total: told.append((done, total)))

    sizes = [done for done, _ in told]
    steps = [after - before for before, after in zip([0, *sizes], sizes, strict=False)]
    assert (len(body), len(body)) == told[-1]
    assert max(steps) <= MEBI


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_refusal_is_final(
    server: FileServer, fetch: Fetch, into: Path, status: int
) -> None:
    """Asking again would bring the same answer; the message says what to do."""
    server.faults = [Fault(status=status)]
    with pytest.raises(RemoteError, match=f"answered {status} .*: ask a friend"):
        await fetch(advice={status: "ask a friend"})

    assert 1 == len(server.seen)
    assert [] == left(into)


async def test_rate_limit_is_passed_on(server: FileServer, fetch: Fetch) -> None:
    """Whoever plans the next tick has to know."""
    server.faults = [Fault(status=429, headers={"Retry-After": "90"})]
    with pytest.raises(RateLimited) as caught:
        await fetch()

    assert 90.0 == caught.value.retry_after


async def test_unexpected_length_is_rejected_before_download(
    server: FileServer, fetch: Fetch, into: Path
) -> None:
    """A file of another length is not fetched first and refused then."""
    with pytest.raises(RemoteError, match="where 99 were published"):
        await fetch(expected=99)

    assert [] == left(into)


async def test_truncated_file_is_refused(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Also where the server does not say how much it means to send."""
    server.lengths = False
    server.files["/app"] = body[:1000]
    with pytest.raises(RemoteError):
        await fetch(expected=1001)

    assert [] == left(into)


async def test_endless_file_is_cut_short(
    server: FileServer, fetch: Fetch, into: Path
) -> None:
    """A store does not decide how much disk we use."""
    server.lengths = False
    with pytest.raises(RemoteError, match="more than the 1000 bytes"):
        await fetch(expected=1000)

    assert 1 == len(server.seen)
    assert [] == left(into)


async def test_unknown_length_is_fine(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Chunks have an end of their own."""
    server.lengths = False
    told: list[int | None] = []
    await fetch(progress=lambda done, total: told.append(total))

    assert body == content(into)
    assert {None} == set(told)


async def test_stored_coding_is_left_alone(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Length and digest were published of the stored bytes."""
    server.faults = [Fault(headers={"Content-Encoding": "gzip"}, then="")]
    await fetch(expected=len(body))

    assert body == content(into)


@pytest.mark.parametrize("lengths", [True, False])
async def test_coding_that_was_not_asked_for_is_taken_off(
    body: bytes, server: FileServer, fetch: Fetch, into: Path, lengths: bool
) -> None:
    """What is unpacked next, and compared, is the published file."""
    server.lengths = lengths
    server.files["/app"] = gzip.compress(body)
    server.faults = [Fault(headers={"Content-Encoding": "gzip"})]
    into = into.with_name("app.zip")
    await fetch(expected=len(body), into=into)

    assert body == content(into)
    assert ["app.zip"] == left(into)


async def test_empty_file_is_a_file(
    server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Whoever published it may have meant it."""
    server.files["/app"] = b""
    await fetch()

    assert b"" == content(into)


async def test_cancelled_download_leaves_nothing(
    server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Neither a file nor a thread that writes one."""
    server.faults = [Fault(then="stall", after=2 * MEBI)]
    begun = asyncio.Event()
    task = asyncio.create_task(fetch(progress=lambda done, total: begun.set()))
    await asyncio.wait_for(begun.wait(), 10)
    assert ["app.tar.gz.part"] == left(into)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == left(into)


async def test_unwritable_disk_is_no_fault_of_the_server(
    server: FileServer, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """It is not asked again for that."""
    with pytest.raises(DeploymentError):
        await download(session, f"{server.url}/app", tmp_path / "missing" / "app")

    assert [] == server.seen


async def test_redirect_to_plain_text_is_followed_by_no_attempt(
    server: FileServer,
    session: aiohttp.ClientSession,
    into: Path,
    waits: list[float],
    effort: Effort,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nothing is gained by asking again."""
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    async with FileServer(authority.serving("127.0.0.1")) as secure:
        secure.redirects["/app"] = f"{server.url}/app"
        with pytest.raises(RemoteError, match="from https to plain http"):
            await download(session, f"{secure.url}/app", into, effort=effort)

    assert [] == waits
    assert [] == server.seen
