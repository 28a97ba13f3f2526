"""What a helper process is for: what hangs is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from dewy.ioprocess import process, protocol, reading
from dewy.ioprocess.process import IOProcess
from tests.eventually import eventually
from tests.needs import needs
from tests.standins.fuse import hung

PIECES = 50


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def sleep_visibly(begun: Path) -> None:
    begun.touch()
    time.sleep(3600)


def pid() -> int:
    return os.getpid()


def parent() -> int:
    return os.getppid()


def refuse() -> None:
    raise PermissionError(13, "Permission denied", "/somewhere")


def environment() -> dict[str, str]:
    return dict(os.environ)


def descriptors() -> list[int]:
    """All that are open, but the one that looks."""
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    found = {int(name) for name in os.listdir(listing)} - {listing}
    return sorted(
        number for number in found if Path(f"/proc/self/fd/{number}").exists()
    )


def slowly(signs: int) -> str:
    for _ in range(signs):
        time.sleep(0.1)
        protocol.alive()
    return "done"


def pieces() -> Generator[bytes, None, None]:
    for number in range(PIECES):
        yield bytes([number]) * 100_000


@pytest.fixture
async def helper(tmp_path: Path) -> AsyncIterator[IOProcess]:
    async with IOProcess(tmp_path) as helper:
        yield helper


def state(number: int) -> str:
    """The state of process *number*; empty when it is gone."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def test_calls_run_in_single_separate_process(helper: IOProcess) -> None:
    first = await helper.call(pid)

    assert os.getpid() != first
    assert first == await helper.call(pid)
    assert os.getpid() == await helper.call(parent)


async def test_error_in_helper_process_is_reraised(helper: IOProcess) -> None:
    with pytest.raises(PermissionError, match="/somewhere"):
        await helper.call(refuse)


async def test_pieces_are_consumed_in_order(helper: IOProcess) -> None:
    found = []

    async def consume(piece: bytes) -> None:
        found.append((len(piece), piece[0]))

    await helper.stream(consume, pieces)

    assert [(100_000, number) for number in range(PIECES)] == found


async def test_consumer_that_fails_ends_the_stream(helper: IOProcess) -> None:
    async def consume(piece: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await helper.stream(consume, pieces)

    assert await helper.call(pid)


async def test_process_inherits_no_descriptor_and_no_secret(
    helper: IOProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "secret")

    assert [0, 1, 2] == await helper.call(descriptors)
    assert "TOKEN" not in await helper.call(environment)


async def test_idle_process_exits_and_is_restarted_on_demand(
    helper: IOProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "IDLE", 0.1)
    number = await helper.call(pid)

    await eventually(lambda: not state(number))

    assert number != await helper.call(pid)


async def test_process_that_was_killed_is_replaced(helper: IOProcess) -> None:
    number = await helper.call(pid)
    os.kill(number, signal.SIGKILL)

    with pytest.raises(OSError, match="killed"):
        await helper.call(pid)

    assert number != await helper.call(pid)


async def test_cancelled_call_ends_with_its_process(
    helper: IOProcess, tmp_path: Path
) -> None:
    number, begun = await helper.call(pid), tmp_path / "begun"
    sleeping = asyncio.create_task(helper.call(sleep_visibly, begun))
    await eventually(begun.exists)
    sleeping.cancel()
    await asyncio.wait({sleeping})

    assert sleeping.cancelled()
    assert number != await helper.call(pid)


async def test_call_without_a_sign_of_life_is_given_up(
    helper: IOProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await helper.call(pid)
    monkeypatch.setattr(process, "QUIET", 0.2)

    with pytest.raises(OSError, match=r"hangs since 2\d{3}-\d\d-\d\dT"):
        await helper.call(sleep, 3600.0)


async def test_signs_of_life_keep_a_long_call(
    helper: IOProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await helper.call(pid)
    monkeypatch.setattr(process, "QUIET", 1.9)

    assert "done" == await helper.call(slowly, 20)


@needs("fuse")
async def test_hung_directory_occupies_single_process_until_recovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked for."""
    async with IOProcess(tmp_path) as helper:
        number = await helper.call(pid)
        monkeypatch.setattr(process, "QUIET", 0.5)
        with hung(tmp_path):
            for _ in range(3):
                with pytest.raises(OSError, match="hangs since"):
                    await helper.call(reading.directories, tmp_path)
            assert "D" == state(number)
        monkeypatch.undo()

        await eventually(lambda: state(number) in {"", "Z"})
        assert [] == await helper.call(reading.directories, tmp_path)


@needs("fuse")
async def test_hung_process_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hung(tmp_path):
        async with IOProcess(tmp_path) as helper:
            number = await helper.call(pid)
            monkeypatch.setattr(process, "QUIET", 0.5)
            with pytest.raises(OSError, match="hangs since"):
                await helper.call(reading.directories, tmp_path)
        assert "D" == state(number)
    await eventually(lambda: not state(number))

    assert ["Left a helper process that hangs"] == [
        record.getMessage() for record in caplog.records
    ]
