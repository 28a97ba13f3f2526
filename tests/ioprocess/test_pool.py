"""Helper processes of directories that come and go."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from dewy.ioprocess.process import IOPool
from dewy.system import start_time


def pid() -> int:
    return os.getpid()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


async def test_directory_keeps_its_process(tmp_path: Path) -> None:
    async with IOPool() as pool:
        first = await (await pool.get(tmp_path)).call(pid)

        assert first == await (await pool.get(tmp_path)).call(pid)
    assert None is start_time(first)


async def test_processes_of_former_directories_end(tmp_path: Path) -> None:
    """There was one more with each version, for a minute."""
    async with IOPool(most=2) as pool:
        pids = [await (await pool.get(tmp_path / str(n))).call(pid) for n in range(5)]

        assert [False] * 3 + [True] * 2 == [
            start_time(each) is not None for each in pids
        ]


async def test_busy_process_is_kept(tmp_path: Path) -> None:
    async with IOPool(most=1) as pool:
        busy = await pool.get(tmp_path / "busy")
        await busy.call(pid)
        working = asyncio.create_task(busy.call(sleep, 0.5))
        await asyncio.sleep(0)
        await pool.get(tmp_path / "other")
        await working

        assert busy is await pool.get(tmp_path / "busy")
