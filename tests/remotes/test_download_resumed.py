from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes import download as module
from dewy.remotes.download import Effort
from tests.standins.files import Fault, FileServer

MEBI = 1 << 20
BROKEN = Fault(then="cut", after=2 * MEBI)


Fetch = Callable[..., Coroutine[None, None, None]]


def content(path: Path) -> bytes:
    """What a download brought."""
    return path.read_bytes()


def left(into: Path) -> list[str]:
    """The names beside *into*, and its own."""
    return [path.name for path in into.parent.iterdir()]


async def test_interrupted_download_resumes_with_range_request(
    body: bytes, server: FileServer, fetch: Fetch, into: Path, waits: list[float]
) -> None:
    """With Range and If-Range, so that a file replaced meanwhile is noticed."""
    server.faults = [BROKEN]
    await fetch(expected=len(body))

    assert body == content(into)
    assert 2 == len(server.seen)
    begin = int(str(server.ranges()[1]).removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= 2 * MEBI
    assert server.seen[1].headers["If-Range"].startswith('"')
    assert [0.5] == waits


async def test_stalled_server_is_left_and_asked_again(
    body: bytes, server: FileServer, fetch: Fetch, effort: Effort, into: Path
) -> None:
    """A connection that is open and silent would hold a deployment for ever."""
    server.faults = [Fault(then="stall", after=2 * MEBI)]
    await fetch(effort=replace(effort, silence=0.2))

    assert body == content(into)
    assert server.ranges()[1] is not None


async def test_trickling_server_is_left_and_asked_again(
    body: bytes, server: FileServer, fetch: Fetch, effort: Effort, into: Path
) -> None:
    """A byte now and then keeps a connection alive and a deployment waiting."""
    server.faults = [Fault(then="trickle", after=2 * MEBI)]
    await fetch(effort=replace(effort, silence=0.2))

    assert body == content(into)
    assert server.ranges()[1] is not None


async def test_server_below_the_floor_for_a_window_is_left_and_asked_again(
    body: bytes,
    server: FileServer,
    fetch: Fetch,
    effort: Effort,
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each silence brings enough to be no stall, and all of it would take for ever."""
    monkeypatch.setattr(module, "TRICKLE", 1)
    server.faults = [Fault(then="trickle", after=2 * MEBI)]
    await fetch(effort=replace(effort, silence=0.1, window=0.3))

    assert body == content(into)
    assert 2 <= len(server.seen)


async def test_slow_but_steady_server_is_waited_for(
    body: bytes,
    server: FileServer,
    fetch: Fetch,
    effort: Effort,
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What brings enough in time may take as long as it takes."""
    monkeypatch.setattr(module, "TRICKLE", 1)
    server.files["/app"] = body[:64]
    server.faults = [Fault(then="trickle")]
    await fetch(effort=replace(effort, silence=0.2))

    assert body[:64] == content(into)
    assert 1 == len(server.seen)


async def test_file_replaced_meanwhile_is_fetched_from_the_beginning(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Half of one version and half of another is neither."""
    other = random.Random(8).randbytes(len(body))
    server.faults = [BROKEN]

    def replace_it(done: int, total: int | None) -> None:
        server.files["/app"] = other

    await fetch(progress=replace_it)

    assert other == content(into)
    assert 2 == len(server.seen)


@pytest.mark.parametrize("resumed", [Fault(ignore_if_range=True), Fault()])
async def test_parts_of_two_files_are_never_joined(
    body: bytes,
    server: FileServer,
    fetch: Fetch,
    into: Path,
    resumed: Fault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where a server sends a range of another file, of the same length."""
    other = random.Random(8).randbytes(len(body))
    server.faults = [BROKEN, resumed]

    def replace_it(done: int, total: int | None) -> None:
        server.files["/app"] = other

    await fetch(expected=len(body), progress=replace_it)

    assert other == content(into)
    assert "File replaced during its download: begun again" in caplog.messages


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": ""},
        {"ETag": 'W/"b"'},
        {"Last-Modified": "x"},
        {"Content-Encoding": "x"},
    ],
    ids=["no tag", "weak tag", "date", "coding"],
)
async def test_range_that_is_described_otherwise_is_not_taken(
    body: bytes,
    server: FileServer,
    fetch: Fetch,
    into: Path,
    headers: dict[str, str],
) -> None:
    server.faults = [BROKEN, Fault(headers=headers)]
    await fetch()

    assert body == content(into)
    assert [False, True, False] == [each is not None for each in server.ranges()]


async def test_longer_replacement_fails_download_of_known_size(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Where its size was published; else the longer one is what there is."""
    longer = body + b"more"
    server.faults = [BROKEN]

    def replace_it(done: int, total: int | None) -> None:
        server.files["/app"] = longer

    with pytest.raises(RemoteError, match=r"app\.tar\.gz was replaced during its down"):
        await fetch(expected=len(body), progress=replace_it)
    assert [] == left(into)
    server.files["/app"], server.faults = body, [BROKEN]

    await fetch(progress=replace_it)

    assert longer == content(into)


@pytest.mark.parametrize(
    "answer",
    [
        Fault(ignore_range=True),
        Fault(status=416),
        Fault(status=206, body=b"all", headers={"Content-Range": "bytes 0-9/10"}),
        Fault(status=206, body=b"all"),
    ],
    ids=["whole", "unsatisfiable", "another range", "no range"],
)
async def test_server_that_does_not_resume_is_begun_again(
    body: bytes, server: FileServer, fetch: Fetch, into: Path, answer: Fault
) -> None:
    """What it sends instead is never joined to what was there."""
    server.faults = [BROKEN, answer]
    await fetch()

    assert body == content(into)


async def test_without_a_validator_a_download_begins_again(
    body: bytes, server: FileServer, fetch: Fetch, into: Path
) -> None:
    """Nothing tells then whether it is still the same file."""
    server.validators = False
    server.faults = [BROKEN]
    await fetch()

    assert body == content(into)
    assert [None, None] == server.ranges()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ETag": '"a"', "Last-Modified": "Mon"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "Mon"}, "Mon"),
        ({"ETag": 'W/"a"'}, ""),
        ({}, ""),
    ],
)
def test_weak_validator_does_not_vouch_for_bytes(
    headers: dict[str, str], expected: str
) -> None:
    """RFC 9110 §13.1.5: If-Range takes a strong one."""
    assert expected == module._validator(headers)


async def test_server_that_breaks_off_again_and_again_is_given_up(
    server: FileServer,
    fetch: Fetch,
    into: Path,
    waits: list[float],
) -> None:
    """After as many attempts as were allowed, further apart each time."""
    server.faults = [Fault(then="cut")] * 9
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1"):
        await fetch()

    assert 5 == len(server.seen)
    assert [0.5, 1.0, 2.0, 4.0] == waits
    assert [] == left(into)


async def test_progress_earns_patience(
    body: bytes, server: FileServer, fetch: Fetch, effort: Effort, into: Path
) -> None:
    """A connection that breaks now and then still brings a large file."""
    server.faults = [Fault(then="cut", after=MEBI + 300_000)] * 2
    await fetch(effort=replace(effort, attempts=2))

    assert body == content(into)
    assert 3 == len(server.seen)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_server_in_trouble_is_asked_again(
    body: bytes, server: FileServer, fetch: Fetch, into: Path, status: int
) -> None:
    """Such answers pass."""
    server.faults = [Fault(status=status)]
    await fetch()

    assert body == content(into)


@pytest.mark.parametrize("status", [429, 503, 403])
@pytest.mark.parametrize("begun", [[], [BROKEN]], ids=["at first", "midway"])
async def test_server_that_names_a_time_is_asked_again_then(
    body: bytes,
    server: FileServer,
    fetch: Fetch,
    into: Path,
    waits: list[float],
    status: int,
    begun: list[Fault],
) -> None:
    """What has arrived is not thrown away for it."""
    server.faults = [*begun, Fault(status=status, headers={"Retry-After": "7"})]
    await fetch()

    assert body == content(into)
    assert [*([0.5] * len(begun)), 7.0] == waits


async def test_busy_server_without_retry_after_is_retried_with_backoff(
    body: bytes, server: FileServer, fetch: Fetch, into: Path, waits: list[float]
) -> None:
    server.faults = [BROKEN, Fault(status=429), Fault(status=503)]
    await fetch()

    assert body == content(into)
    assert [0.5, 1.0, 2.0] == waits
    assert all(each is not None for each in server.ranges()[1:])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("begun", "seconds"), [([], 30), ([BROKEN], 86_400)])
async def test_absurd_time_ends_the_download(
    server: FileServer,
    fetch: Fetch,
    into: Path,
    waits: list[float],
    status: int,
    begun: list[Fault],
    seconds: int,
) -> None:
    """The next poll keeps away as long, but for no more than an hour."""
    refused = Fault(status=status, headers={"Retry-After": str(seconds)})
    server.faults = [*begun, refused]
    with pytest.raises(RemoteError) as caught:
        await fetch()

    assert min(seconds, 3600) == caught.value.retry_after
    assert len(begun) == len(waits)
    assert [] == left(into)
