"""Releases that cannot work: what runs serves on, and the reason is told."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import os
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from dewy.demo.load import Load
from dewy.deploy.history import Record
from dewy.deploy.state import StateFile
from tests import needs
from tests.eventually import eventually
from tests.standins import archives, programs, roots
from tests.standins.publishing import put
from tests.standins.site import Dewy

GOOD, BAD, NEXT = "v1.0.0", "v1.0.1", "v1.0.2"
MIB = 1 << 20
NOISE = random.Random(1).randbytes(MIB)


def web(*entries: tuple[object, bytes], version: str = BAD) -> bytes:
    """A release that would work, and *entries*."""
    content = programs.files(version, EXECUTABLE).items()
    files = [archives.entry(n, text.encode(), mode=0o755) for n, text in content]
    return gzip.compress(archives.tar(*files, *entries), 1)


def crashing(program: str) -> bytes:
    return programs.tarball(programs.files(BAD, f"#!{sys.executable} -S\n{program}"))


def bomb() -> bytes:
    """A large file of one letter, a thousandth of its size."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("letters")
        entry.size = 80 * MIB
        archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    return buffer.getvalue()


@dataclass(frozen=True)
class Bad:
    """
    A bad release.

    Attributes:
        reason: What the operator reads, a pattern.

        step: How far it gets.

        artifact: Makes its artifact.

        beside: Files published along with it.

        host: The host is to blame, so that it is tried again with each poll.

        options, prefix: Of the dewy that meets it, and what that is run under.
    """

    reason: str
    step: str
    artifact: Callable[[], bytes] = web
    beside: dict[str, bytes] = field(default_factory=dict)
    host: bool = False
    options: Sequence[str] = ()
    prefix: Sequence[str] = ()


# Executed by its path, so that a release without it is seen to lack it.
EXECUTABLE = f"#!{sys.executable} -S\n{programs.PROGRAM.read_text()}"
GRACE = ["--ready", "grace", "--start-grace", "100ms"]
NOTIFY = ["--ready", "notify", "--start-timeout", "3s"]
HEALTH = ["--health-path", "/up", "--health-timeout", "8s"]
HOOK = ["--before-deploy-hook", f'test "$DEWY_TAG" != {BAD} || exit 7']
FULL = ["prlimit", f"--fsize={MIB // 2}"]
DEVICE = archives.entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)

RELEASES = {
    "crashes before it accepts": Bad(
        r"generation 2 ended \(exit status 3\)",
        "start",
        lambda: crashing(programs.CRASHES),
    ),
    "never gets ready": Bad(
        "did not send READY=1 within 3 s",
        "start",
        lambda: crashing(programs.NEVER_READY),
        options=NOTIFY,
    ),
    "answers 500 on its health path": Bad(
        "500", "start", lambda: crashing(programs.UNHEALTHY), options=HEALTH
    ),
    "has no program": Bad(
        "current/program.py cannot be executed: No such file",
        "start",
        lambda: gzip.compress(archives.tar(archives.entry("README", b"soon"))),
    ),
    "corrupt archive": Bad(
        r"app\.tar\.gz", "unpack", lambda: web()[:40] + NOISE[:200] + web()[60:]
    ),
    "truncated archive": Bad(r"app\.tar\.gz", "unpack", lambda: web()[:-400]),
    "no archive at all": Bad(r"app\.tar\.gz", "unpack", lambda: b"<html>Sorry</html>"),
    "wrong checksum": Bad(
        "checksum|SHA-256",
        "fetch",
        beside={"app.tar.gz.sha256": hashlib.sha256(b"other").hexdigest().encode()},
    ),
    "entry outside the release": Bad(
        r"\.\./outside", "unpack", lambda: web(archives.entry("../outside", b"x"))
    ),
    "escaping symbolic link": Bad(
        "'out' leads outside", "unpack", lambda: web(archives.link("out", "../../.."))
    ),
    "escaping hard link": Bad(
        "'../../state' leads outside",
        "unpack",
        lambda: web(archives.hard("out", "../../state")),
    ),
    "device": Bad("null", "unpack", lambda: web(DEVICE)),
    "bomb": Bad("200 times its own size", "unpack", bomb),
    "disk full at the download": Bad(
        "File too large", "fetch", lambda: NOISE, host=True, prefix=FULL
    ),
    "disk full at unpacking": Bad(
        "no space left",
        "unpack",
        lambda: web(archives.entry("0", bytes(MIB))),
        host=True,
        prefix=FULL,
    ),
    "refused by the before-hook": Bad(
        "before-deploy hook", "before-hook", options=HOOK
    ),
}


@dataclass
class Site(Dewy):
    """A dewy that is run by *prefix*."""

    prefix: Sequence[str] = ()

    def arguments(self) -> list[str]:
        return [*self.prefix, *super().arguments()]

    async def retries(self, version: str) -> str:
        """Wait until *version* was tried a few times, in vain; why."""
        failed = f"Deployment failed.*tag={version}"
        await eventually(lambda: 3 <= len(re.findall(failed, self.log)))
        return str((await self.until(lambda now: now["last_error"]))["last_error"])


@pytest.mark.parametrize("name", RELEASES)
async def test_a_bad_release_costs_nothing_but_itself(tmp_path, unused_tcp_port, name):
    """Told in log, history and status; the host is not stuck, as it used to be."""
    bad = RELEASES[name]
    if bad.prefix:
        needs.require(bad.prefix[0])
    await meets(
        bad,
        Site(
            tmp_path,
            unused_tcp_port,
            program=["current/program.py"],
            options=bad.options,
            prefix=bad.prefix,
        ),
    )


async def test_a_full_disk_costs_nothing_but_the_release(tmp_path, unused_tcp_port):
    """A real one, too small for the release."""
    async with small(tmp_path, unused_tcp_port) as dewy:
        large = Bad(
            "no space left",
            "unpack",
            lambda: web(archives.entry("0", bytes(MIB))),
            host=True,
        )
        await meets(large, dewy)


async def test_bad_version_is_left_on_full_disk(tmp_path, unused_tcp_port):
    """The way back needs no room; that it is not on disk yet is told, and mended."""
    async with small(tmp_path, unused_tcp_port) as dewy:
        dewy.publish(GOOD, EXECUTABLE)
        async with dewy:
            await dewy.runs(GOOD)
            async with Load(dewy.port, 4, 0.01) as load:
                dewy.publish(NEXT, EXECUTABLE)
                await dewy.runs(NEXT)
                # Without the room that is kept for what is decided meanwhile.
                (dewy.root / ".dewy/spare-state").unlink()
                await asyncio.to_thread(fill, dewy.root)
                answer = await dewy.ask("rollback")
                full = await dewy.runs(GOOD)
                held = await dewy.ask("hold")
                await answered(load, GOOD, 20)
                (dewy.root / "filler").unlink()
                await dewy.until(lambda status: not status["degraded"])
        written = await asyncio.to_thread(StateFile(dewy.root / ".dewy").read)

    trouble = (
        f"could not be written to {dewy.root}/.dewy/state.json "
        "(No space left on device): free space"
    )
    assert answer["message"].startswith(f"rolled back to {GOOD}; {NEXT} stays out")
    assert trouble in answer["message"]
    assert trouble in held["message"]
    assert any(trouble in phrase for phrase in full["degraded"])
    assert {} == load.tally.failures
    assert written is not None
    assert written.running is not None
    assert (GOOD, True) == (written.running.tag, written.hold)
    assert [NEXT] == [entry.tag for entry in written.quarantine]


def fill(root: Path) -> None:
    """Take all the room there is."""
    with suppress(OSError), (root / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@asynccontextmanager
async def small(base: Path, port: int) -> AsyncIterator[Site]:
    """A dewy whose root is a file system of half a MiB."""
    if not (os.geteuid() == 0 and needs.required("tmpfs")):
        pytest.skip("mounts a file system: wants root, and DEWY_TEST_REQUIRE=all")
    dewy = Site(base, port, program=["current/program.py"])
    dewy.root.mkdir()
    mount = ["-t", "tmpfs", "-o", f"size={MIB // 2}", "tmpfs", str(dewy.root)]
    await asyncio.to_thread(subprocess.run, ["mount", *mount], check=True)
    try:
        yield dewy
    finally:
        umount = ["umount", str(dewy.root)]
        await asyncio.to_thread(subprocess.run, umount, check=True)


async def meets(bad: Bad, dewy: Site) -> None:
    """Let *dewy* run a good release, meet *bad*, and go on to a good one."""
    dewy.publish(GOOD, EXECUTABLE)
    async with dewy:
        await dewy.runs(GOOD)
        async with Load(dewy.port, 4, 0.01) as load:
            put(dewy.registry, BAD, {"app.tar.gz": bad.artifact(), **bad.beside})
            reason = await (dewy.retries(BAD) if bad.host else dewy.refuses(BAD))
            status = await dewy.runs(GOOD)
            await answered(load, GOOD, 20)
            await eventually(lambda: [GOOD] == list(roots.releases(dewy.root).values()))
            dewy.publish(NEXT, EXECUTABLE)
            await dewy.runs(NEXT)
            await answered(load, NEXT, 5)
        await eventually(partial(_all_told, dewy, bad))

    assert {} == load.tally.failures
    # While a health path is asked, both generations accept.
    shared = {BAD} if "--health-path" in dewy.options else set()
    assert {GOOD, NEXT} == load.tally.versions.keys() - shared
    assert re.search(bad.reason, reason)
    quarantine = [each["until"] is not None for each in status["quarantine"]]
    assert ([] if bad.host else [True]) == quarantine
    assert any(reason in phrase for phrase in status["degraded"])
    assert reason in dewy.log.replace('\\"', '"')
    first, second, third = await _deployments(dewy, bad)
    assert ("failed", bad.step, reason) == (second.outcome, second.step, second.reason)
    assert ["deployed"] * 2 == [first.outcome, third.outcome]
    assert [GOOD, NEXT] == sorted(roots.releases(dewy.root).values())
    assert [] == roots.strays(dewy.root)
    assert not (dewy.base / "outside").exists()


async def _deployments(dewy: Site, bad: Bad) -> list[Record]:
    """The history, but for tries that ended because the good release came."""
    records = await roots.history(dewy.root)
    return [each for each in records if not (bad.host and _superseded(each))]


def _superseded(record: Record) -> bool:
    return (BAD, f"superseded by {NEXT}") == (record.tag, record.reason)


async def _all_told(dewy: Site, bad: Bad) -> bool:
    told = [each.tag for each in await _deployments(dewy, bad)]
    return [GOOD, BAD, NEXT] == told


async def answered(load: Load, version: str, more: int) -> None:
    """Wait until *version* has answered some more requests."""

    def answers() -> int:
        seen = load.tally.versions.get(version)
        return seen.answers if seen else 0

    before = answers()
    await eventually(lambda: answers() >= before + more)
