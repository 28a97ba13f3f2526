from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from dewy.errors import DeploymentError
from dewy.remotes.partial_file import PartialFile
from tests.eventually import turns


def content(path: Path) -> bytes:
    """What was written."""
    return path.read_bytes()


def left(directory: Path) -> list[str]:
    """The names in *directory*."""
    return [path.name for path in directory.iterdir()]


async def test_file_appears_whole(tmp_path: Path) -> None:
    """Until the block ends nobody sees it under its name."""
    into = tmp_path / "app.tar.gz"
    async with PartialFile(into) as draft:
        await draft.write(b"one ")
        await draft.write(b"two")
        assert not into.exists()

    assert b"one two" == content(into)
    assert ["app.tar.gz"] == left(tmp_path)


async def test_leftover_partial_file_is_overwritten(tmp_path: Path) -> None:
    """After a kill -9 its bytes have no known origin."""
    (tmp_path / "file.part").write_bytes(b"a much longer leftover")
    async with PartialFile(tmp_path / "file") as draft:
        await draft.write(b"new")

    assert b"new" == content(tmp_path / "file")


async def test_restart_forgets_everything(tmp_path: Path) -> None:
    """Not only where to write next."""
    async with PartialFile(tmp_path / "file") as draft:
        await draft.write(b"much too long")
        await draft.restart()
        await draft.write(b"new")

    assert b"new" == content(tmp_path / "file")


async def test_error_leaves_nothing(tmp_path: Path) -> None:
    """Under neither name."""
    with pytest.raises(LookupError):
        async with PartialFile(tmp_path / "file") as draft:
            await draft.write(b"half")
            raise LookupError

    assert [] == left(tmp_path)


async def test_unwritable_place_is_told(tmp_path: Path) -> None:
    """The message has the file and the reason, and no directory of the moment."""
    into = tmp_path / "missing" / "file"
    with pytest.raises(
        DeploymentError, match=r"^could not write file: No such file or directory"
    ):
        async with PartialFile(into):
            pass


async def test_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails the deployment, with the reason, and gives the space back."""

    def fail(self: PartialFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartialFile, "_finish", fail)
    with pytest.raises(DeploymentError, match="No space left on device"):
        async with PartialFile(tmp_path / "file") as draft:
            await draft.write(b"half")

    assert [] == left(tmp_path)


async def test_each_cancellation_waits_for_the_thread_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that still writes would otherwise do so to a file given away."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(self: PartialFile) -> None:
        entered.set()
        go_on.wait(10)

    monkeypatch.setattr(PartialFile, "_empty", slow)

    async def write() -> None:
        async with PartialFile(tmp_path / "file") as draft:
            await draft.write(b"half")
            await draft.restart()

    task = asyncio.create_task(write())
    assert await asyncio.to_thread(entered.wait, 10)
    for _ in range(2):
        task.cancel()
        await turns()
        # Whatever else was given to a thread has begun by then.
        await asyncio.to_thread(int)
        await turns()
        assert not task.done()
        assert (tmp_path / "file.part").exists()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == left(tmp_path)
