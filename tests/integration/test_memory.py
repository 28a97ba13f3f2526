"""What dewy holds in memory does not follow the size of an artifact."""

from __future__ import annotations

import asyncio
import os
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.standins.site import Dewy

MIB = 1024 * 1024
ALLOWED = 60 * MIB

Measured = Callable[[object], None]


def memory(dewy: Dewy, field: str) -> int:
    """VmRSS or VmHWM of the process in bytes (proc(5))."""
    assert dewy.process is not None
    status = Path(f"/proc/{dewy.process.pid}/status").read_text()
    found = re.search(rf"^{field}:\s*(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def zeros(path: Path, size: int) -> None:
    """A file of *size* zeros that takes no space."""
    with path.open("wb") as file:
        file.truncate(size)


def tar_of_zeros(path: Path, size: int) -> None:
    """The same as the one file of an uncompressed tar archive, which is as sparse."""
    entry = tarfile.TarInfo("zeros")
    entry.size = size
    head = entry.tobuf()
    blocks = -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    zeros(path, len(head) + blocks + 2 * tarfile.BLOCKSIZE)
    with path.open("r+b") as file:
        file.write(head)


@pytest.mark.parametrize(
    ("name", "make"), [("zeros.tar", tar_of_zeros), ("zeros", zeros)]
)
async def test_memory_does_not_follow_the_artifact(
    tmp_path: Path,
    name: str,
    make: Callable[[Path, int], None],
    soak: bool,
    measured: Measured,
) -> None:
    """Copied, hashed, cached and unpacked as a stream."""
    size = (1024 if soak else 256) * MIB
    dewy = Dewy(tmp_path, command="assets")
    dewy.registry_url = f"file://{dewy.registry}?artifact={name}"
    dewy.within = 600.0 if soak else 60.0
    async with dewy:
        await dewy.until(lambda status: status["last_poll"])
        idle = memory(dewy, "VmRSS")
        await asyncio.to_thread(publish, dewy.registry, name, make, size)
        await dewy.runs("v1.0.0")
        peak = memory(dewy, "VmHWM")
    measured(f"{size // MIB} MiB cost {(peak - idle) / MIB:.1f} MiB")

    assert size == (dewy.root / "current" / "zeros").stat().st_size
    assert ALLOWED > peak - idle


def publish(
    registry: Path, name: str, make: Callable[[Path, int], None], size: int
) -> None:
    draft = registry / ".draft"
    draft.mkdir()
    make(draft / name, size)
    settled = time.time() - 60
    os.utime(draft / name, (settled, settled))
    draft.rename(registry / "v1.0.0")


# The allocator takes some hundred deployments to come to rest.
WARM, GROWTH = 300, 1.02


def helpers(dewy: Dewy) -> int:
    """Processes that dewy has, the program among them."""
    assert dewy.process is not None
    pid = dewy.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return len(children.split())


async def test_memory_does_not_follow_the_number_of_deployments(
    tmp_path: Path, soak: bool, measured: Measured
) -> None:
    """Nor does the number of helper processes, of which each version had one."""
    deployments = 600 if soak else 8
    dewy = Dewy(tmp_path, program=("sleep", "600"), options=("--start-grace", "20ms"))
    warm = after = 0
    async with dewy:
        for number in range(deployments):
            dewy.publish(f"v1.0.{number}")
            await dewy.runs(f"v1.0.{number}")
            after = memory(dewy, "VmRSS")
            warm = after if number == WARM else warm
        # The program, and helpers of the cache, the registry and two artifacts.
        assert 5 >= helpers(dewy)
    if soak:
        measured(f"{warm / MIB:.1f} MiB, {deployments - WARM} later {after / MIB:.1f}")
        assert GROWTH * warm >= after
