from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Event

import pytest

from dewy.deploy import releases as module
from dewy.deploy.archive import UnpackRules
from dewy.deploy.releases import Releases
from dewy.errors import ArchiveError, DeploymentError
from tests.needs import required
from tests.standins.archives import entry, listing, saved, tar

NOW = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
FIRST = "20310203T040506Z"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def releases(root: Path) -> Releases:
    return Releases(root)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    program = entry("bin/app", b"program", mode=0o755)
    return saved(tmp_path, "artifact", tar(program))


def made(root: Path, *names: str) -> None:
    for name in names:
        (root / "releases" / name / "sub").mkdir(parents=True)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "releases").iterdir())


async def test_directory_is_named_after_the_second_in_utc(releases: Releases) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))

    assert FIRST == await releases.reserve(NOW) == await releases.reserve(there)


async def test_releases_in_same_second_get_distinct_directories(
    releases: Releases, root: Path
) -> None:
    """Names had a resolution of one second, and the second one overwrote."""
    made(root, FIRST)
    assert f"{FIRST}-2" == await releases.reserve(NOW)

    made(root, f".{FIRST}-2.partial")
    assert f"{FIRST}-3" == await releases.reserve(NOW)


async def test_looking_makes_nothing(releases: Releases, root: Path) -> None:
    assert FIRST == await releases.reserve(NOW)
    await releases.prune([])
    await releases.clear_partial()

    assert {} == listing(root)


async def test_release_is_unpacked(
    releases: Releases, root: Path, artifact: Path
) -> None:
    path = await releases.unpack(artifact, "app.tar", FIRST)

    assert root / "releases" / FIRST == path == releases.path(FIRST)
    assert {"bin": None, "bin/app": b"program"} == listing(path)
    assert [FIRST] == names(root)
    assert 0o755 == path.stat().st_mode & 0o7777


async def test_failed_release_leaves_nothing(
    releases: Releases, root: Path, tmp_path: Path
) -> None:
    """Failed extractions left directories that counted among those to keep."""
    artifact = saved(tmp_path, "artifact", tar(entry("a"), entry("../b")))
    with pytest.raises(ArchiveError, match="outside"):
        await releases.unpack(artifact, "app.tar", FIRST)

    assert [] == names(root)


async def test_release_is_hidden_until_unpacking_is_complete(
    releases: Releases, root: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(descriptor: int) -> None:
        seen.extend(names(root))
        assert b"program" == (root / "releases" / seen[0] / "bin/app").read_bytes()

    monkeypatch.setattr(module, "_sync_file_system", watched)
    await releases.unpack(artifact, "app.tar", FIRST)

    assert [f".{FIRST}.partial"] == seen


async def test_partial_release_of_killed_dewy_is_overwritten(
    releases: Releases, root: Path, artifact: Path
) -> None:
    made(root, f".{FIRST}.partial/old")
    path = await releases.unpack(artifact, "app.tar", FIRST)

    assert {"bin": None, "bin/app": b"program"} == listing(path)


async def test_lost_write_fails_the_deployment(
    releases: Releases, root: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems find out that they are full when it is too late to say."""

    def lost(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module, "_sync_file_system", lost)
    with pytest.raises(DeploymentError, match="no space left"):
        await releases.unpack(artifact, "app.tar", FIRST)

    assert [] == names(root)


async def test_cancelled_release_leaves_nothing(
    releases: Releases, root: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping dewy does not wait for gigabytes, and no thread goes on behind it."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def endless(
        source: Path, file: str, into: Path, rules: UnpackRules, stop: Event
    ) -> None:
        saved(into, "half", b"")
        loop.call_soon_threadsafe(begun.set)
        assert stop.wait(20)
        raise DeploymentError("interrupted")

    monkeypatch.setattr(module, "unpack", endless)
    work = asyncio.create_task(releases.unpack(artifact, "app.tar", FIRST))
    await asyncio.wait_for(begun.wait(), 20)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert [] == names(root)


async def test_releases_that_cannot_be_made_say_why(
    releases: Releases, root: Path, artifact: Path
) -> None:
    saved(root, "releases", b"a file")
    with pytest.raises(DeploymentError, match=r"cannot make .*exists"):
        await releases.unpack(artifact, "app.tar", FIRST)


@pytest.fixture
def small_root(tmp_path: Path) -> Iterator[Path]:
    """A root on a file system of one MiB; mounted only where asked for."""
    if not required("all") or os.geteuid() != 0:
        pytest.skip("mounts a file system: as root with DEWY_TEST_REQUIRE=all")
    root = tmp_path / "small"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)]
    subprocess.run(mount, check=True)
    yield root
    subprocess.run(["umount", str(root)], check=True)


async def test_full_file_system_says_so(small_root: Path, tmp_path: Path) -> None:
    artifact = saved(tmp_path, "artifact", tar(entry("x", os.urandom(2_000_000))))
    with pytest.raises(DeploymentError, match="no space left"):
        await Releases(small_root).unpack(artifact, "app.tar", FIRST)

    assert [] == names(small_root)


async def test_current_is_set_and_withdrawn(releases: Releases, root: Path) -> None:
    made(root, FIRST)
    await releases.switch(FIRST)
    assert FIRST == await releases.target()

    await releases.withdraw()
    assert await releases.target() is None


@pytest.mark.parametrize("kind", ["file", "directory"])
async def test_file_replacing_current_link_is_set_aside(
    releases: Releases, root: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that died meanwhile could not be started again."""
    made(root, FIRST)
    await releases.switch(FIRST)
    link = root / "current"
    link.unlink()
    link.mkdir() if kind == "directory" else link.touch()

    await releases.restore(FIRST)

    assert FIRST == await releases.target()
    aside = Path(caplog.records[-1].__dict__["aside"])
    assert aside.parent == root
    assert (kind == "directory") == await asyncio.to_thread(aside.is_dir)


def test_root_may_be_relative(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(root, FIRST)
    monkeypatch.chdir(root)
    asyncio.run(Releases(Path(".")).switch(FIRST))

    assert str(root / "releases" / FIRST) == os.readlink(root / "current")


async def test_pruning_keeps_retained_and_running_releases(
    releases: Releases, root: Path
) -> None:
    """Pruning went by time of change, and could remove what `current` points at."""
    made(root, *(f"2031020{n}T040506Z" for n in range(1, 7)))
    await releases.switch("20310201T040506Z")
    os.utime(root / "releases/20310203T040506Z", (0, 0))
    await releases.prune(["20310203T040506Z", "20310206T040506Z"])

    kept = ["20310201T040506Z", "20310203T040506Z", "20310206T040506Z"]
    assert kept == names(root)


async def test_pruning_keeps_foreign_files(releases: Releases, root: Path) -> None:
    made(root, "manual", f"{FIRST}.bak", f"{FIRST}-2", f".{FIRST}.partial")
    saved(root / "releases", "20310203T040508Z", b"a file")
    (root / "releases/20310203T040509Z").symlink_to("manual")
    before = names(root)
    assert {f"{FIRST}-2"} == await releases.names()
    await releases.prune([])

    assert [name for name in before if name != f"{FIRST}-2"] == names(root)


PRUNE = """
import os, sys
from pathlib import Path
from dewy.deploy.releases import Releases

if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(int(sys.argv[2]))
Releases(Path(sys.argv[1]))._prune(frozenset())
"""
NOBODY = 65534


def test_pruning_removes_read_only_files() -> None:
    """Also for those who are not root, whom modes do stop."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        made(root, FIRST)
        saved(root / "releases" / FIRST / "sub", "file", b"").chmod(0o400)
        (root / "releases" / FIRST / "sub").chmod(0)
        (root / "releases" / FIRST).chmod(0o500)
        if os.geteuid() == 0:
            for path in (root, *root.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        command = [sys.executable, "-c", PRUNE, str(root), str(NOBODY)]
        subprocess.run(command, check=True)

        assert [] == names(root)


async def test_pruning_that_fails_is_told(
    releases: Releases,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made(root, FIRST, "20310203T040507Z")

    def fails(path: Path) -> None:
        if FIRST in path.name:
            raise OSError(16, "busy")

    monkeypatch.setattr(module, "_remove", fails)
    await releases.prune([])

    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert ["Removal failed"] == warnings


async def test_interrupted_removal_leaves_no_half_release(
    releases: Releases, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that has a release's name is complete."""
    made(root, FIRST)
    monkeypatch.setattr(module, "_remove", lambda path: None)
    await releases.prune([])

    assert [f".{FIRST}.partial"] == names(root)


async def test_partial_files_are_removed_at_boot(
    releases: Releases, root: Path
) -> None:
    made(root, FIRST, f".{FIRST}-2.partial", ".hidden")
    (root / "current.tmp").symlink_to("nowhere")
    await releases.clear_partial()

    assert [".hidden", FIRST] == names(root)
    assert not (root / "current.tmp").is_symlink()


async def test_trial_that_fails_is_undone_without_an_inode(
    releases: Releases, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new link can be made: the one to go back with was made before."""
    made(root, FIRST, f"{FIRST}-2")
    await releases.switch(FIRST)
    with pytest.raises(LookupError):
        async with releases.trying(f"{FIRST}-2") as trial:
            await trial.place()
            monkeypatch.setattr(Path, "symlink_to", full)
            raise LookupError

    assert FIRST == await releases.target()
    assert ["current", "releases"] == sorted(os.listdir(root))


async def test_undo_that_fails_is_told_and_made_good_later(
    releases: Releases,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made(root, FIRST, f"{FIRST}-2")
    await releases.switch(FIRST)
    with pytest.raises(LookupError), monkeypatch.context() as patched:
        async with releases.trying(f"{FIRST}-2") as trial:
            await trial.place()
            patched.setattr(Path, "replace", full)
            raise LookupError
    assert f"{FIRST}-2" == await releases.target()
    assert frozenset({f"{FIRST}-2"}) == await releases.interrupted()

    await releases.restore(FIRST)

    assert FIRST == await releases.target()
    assert ["current", "releases"] == sorted(os.listdir(root))
    messages = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert ["Current not put back"] == messages


async def test_manually_moved_link_is_restored_with_warning(
    releases: Releases, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(root, FIRST, f"{FIRST}-2")
    await releases.switch(f"{FIRST}-2")
    (root / "current").unlink()
    (root / "current").symlink_to(f"releases/{FIRST}")

    await releases.restore(f"{FIRST}-2")

    assert f"{FIRST}-2" == await releases.target()
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "dewy rollback" in warning.message
    assert FIRST == warning.__dict__["was"]


async def test_link_outside_releases_is_restored_at_boot_with_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(root, FIRST)
    (root / "current").symlink_to("elsewhere")

    await Releases(root).restore(FIRST)

    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "nowhere" == warning.__dict__["was"]
    assert {"owner", "moved"} <= warning.__dict__.keys()


async def test_missing_link_is_made_at_boot_without_a_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(root, FIRST)
    releases = Releases(root)

    await releases.restore(FIRST)

    assert FIRST == await releases.target()
    assert [] == [r for r in caplog.records if r.levelno >= logging.WARNING]


def full(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("first", ["undo", "place"])
@pytest.mark.parametrize("fails", [False, True])
async def test_long_undo_leaves_the_next_trial_alone(
    first: str, fails: bool, releases: Releases, root: Path
) -> None:
    second, third = f"{FIRST}-2", f"{FIRST}-3"
    made(root, FIRST, second, third)
    await releases.switch(FIRST)
    placed, proceed = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        async with releases.trying(second) as trial:
            await trial.place()
            placed.set()
            await proceed.wait()
            raise LookupError

    async def undo() -> None:
        proceed.set()
        await asyncio.wait({failing})

    failing = asyncio.create_task(fail(), name="failing trial")
    await placed.wait()
    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        async with releases.trying(third) as trial:
            for step in (undo, trial.place) if first == "undo" else (trial.place, undo):
                await step()
            assert third == await releases.target()
            if fails:
                raise ZeroDivisionError

    assert isinstance(failing.exception(), LookupError)
    assert (FIRST if fails else third) == await releases.target()
    assert ["current", "releases"] == sorted(os.listdir(root))
