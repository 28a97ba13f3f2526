"""Roots: made without a dewy, looked at, and talked to by the command line."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dewy.deploy.history import History, Record
from dewy.deploy.lock import lock
from dewy.deploy.state import Installed, State, StateFile
from tests.eventually import eventually
from tests.standins import programs

DIRECTORY = "20310203T040506Z"

# All that a dewy at rest has in its root, releases' own content apart.
KNOWN = re.compile(
    r"current|releases(/\d{8}T\d{6}Z(-\d+)?)?"
    r"|\.dewy(/(admin\.sock|cache|history\.jsonl|lock|staging|state\.json))?"
    r"|\.dewy/spare-(1|2|state)"
    r"|\.dewy/cache/[0-9a-f]{16}(/[^/.][^/]*--[^/]+)?"
)


@dataclass(frozen=True)
class Said:
    """What one command came to."""

    status: int
    out: str
    err: str


async def say(root: Path, *arguments: str, **variables: str) -> Said:
    """Run `dewy ARGUMENTS` in *root* to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dewy", *arguments),
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def deployed(root: Path, version: str, program: str | None = None) -> Installed:
    """Leave *root* as a dewy does that has *version* running, and was stopped."""
    content = programs.files(version, program)
    target = programs.unpacked(root / "releases" / DIRECTORY, content)
    (root / "current").symlink_to(target)
    (root / ".dewy").mkdir(0o700)
    running = Installed(version, "", DIRECTORY, 0.0)
    file = StateFile(root / ".dewy")
    await asyncio.to_thread(file.write, State(running=running, installed=(running,)))
    return running


async def state(root: Path) -> State:
    """What is written in `state.json`."""
    found = await asyncio.to_thread(StateFile(root / ".dewy").read)
    assert found is not None
    return found


async def history(root: Path) -> list[Record]:
    """Every record, oldest first."""
    return await asyncio.to_thread(History(root / ".dewy").read)


async def recorded(root: Path, *versions: str) -> None:
    """Wait until the history tells of exactly these deployments."""

    async def told() -> bool:
        return list(versions) == [record.tag for record in await history(root)]

    await eventually(told)


def releases(root: Path) -> dict[str, str]:
    """The version that each release directory holds, but for those being unpacked."""
    return {
        path.name: (path / "VERSION").read_text()
        for path in (root / "releases").glob("[!.]*")
    }


def strays(root: Path) -> list[str]:
    """What does not belong in a root: drafts, and parts of what is not whole."""
    found = []
    for directory, folders, files in os.walk(root):
        here = Path(directory).relative_to(root)
        names = [str(here / name) for name in (*folders, *files)]
        found += [name for name in names if not KNOWN.fullmatch(name)]
        if here.name == "releases":
            folders.clear()
    return found


def inhabitants(root: Path) -> set[int]:
    """The processes whose working directory is *root*."""
    found = set()
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and os.readlink(f"{entry.path}/cwd") == str(root):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@asynccontextmanager
async def locked(private: Path, phase: str = "") -> AsyncIterator[None]:
    """Hold the lock of a root, as a dewy in *phase* does."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, lock(private, phase=phase))
        yield
