"""What it costs a process to pass a file through a shared cache."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

THROUGH = """
import asyncio, os, resource, sys
from pathlib import Path
from dewy.caches import CACHES

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

async def main(url, place):
    one, other = CACHES.open(url, place / "one"), CACHES.open(url, place / "other")
    async with one, other:
        await one.put("warm", b"up")
        before = peak()
        assert await one.store("0123456789abcdef/file", place / "source")
        assert await other.load("0123456789abcdef/file", place / "into")
    assert os.stat(place / "into").st_size == os.stat(place / "source").st_size
    print(peak() - before)

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


async def grown(url: str, directory: Path, size: int) -> int:
    """
    Store *size* bytes from one host and load them on another, in a process of
    their own; by how many bytes that grew at most.
    """
    await asyncio.to_thread(_fill, directory / "source", size)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", THROUGH, url, str(directory)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    out, _ = await process.communicate()
    assert 0 == process.returncode
    return int(out)


def _fill(path: Path, size: int) -> None:
    # No two chunks of it are alike.
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
