"""Before the first look at the registry."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dewy import boot
from dewy.config import Settings
from dewy.deploy.current import Current
from dewy.deploy.history import History, Record
from dewy.deploy.quarantine import LONGEST_DELAY
from dewy.deploy.releases import Releases
from dewy.deploy.state import Group, Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.errors import DewyError
from dewy.system import Clock, boot_id, start_time
from tests.standins import programs
from tests.standins.unlisted import unlisted

NOW = 1_927_857_906.0
CLOCK = Clock(wall=lambda: NOW)
DEAF_FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(3600)
"""
WAITS = "import signal; print(flush=True); signal.pause()"
V1 = Installed("v1", "a", "20310203T040506Z", NOW)
V2 = Installed("v2", "b", "20310203T050507Z", NOW + 3601)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / ".dewy").mkdir()
    return Settings(
        command="server", root=tmp_path, cache_dir=tmp_path / ".dewy" / "cache"
    )


def installed(settings: Settings, *releases: Installed, link: Installed | None) -> None:
    for release in releases:
        (settings.root / "releases" / release.directory).mkdir(parents=True)
    if link:
        target = settings.root / "releases" / link.directory
        (settings.root / "current").symlink_to(target)


async def repaired(settings: Settings, state: State) -> State:
    await asyncio.to_thread(StateFile(settings.private).write, state)
    state_store = await boot.load(settings, CLOCK)
    await boot.repair(settings, state_store, Releases(settings.root), CLOCK)
    return state_store.state


async def test_the_state_decides_and_not_the_link(settings: Settings):
    installed(settings, V1, V2, link=V2)

    state = await repaired(settings, State(V1, (V1, V2)))

    assert V1 == state.running
    assert V1.directory == await Releases(settings.root).target()


async def test_releases_that_the_disk_does_not_tell_of_are_not_taken_for_gone(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """They were forgotten, and the next deployment removed them."""
    installed(settings, V1, V2, link=V2)

    with unlisted(monkeypatch):
        state = await repaired(settings, State(V2, (V2, V1)))

    assert State(V2, (V2, V1)) == state
    assert "Releases not listed" in caplog.text


async def test_release_deployed_by_another_program_is_adopted(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    """The original ran here meanwhile; what it deployed is not older than it looks."""
    installed(settings, V1, V2, link=V2)
    settings.cache_dir.mkdir()
    (settings.cache_dir / "current").write_text("v2--app.tar.gz")
    os.utime(settings.cache_dir / "current", (V2.at - 5, V2.at - 5))

    state = await repaired(settings, State(V1, (V1,)))

    assert state.running is not None
    assert ("v2", V2.directory) == (state.running.tag, state.running.directory)
    assert V1 == state.previous
    assert V2.directory == await Releases(settings.root).target()
    assert 1 == caplog.messages.count("Adopted release that another program deployed")
    assert state == await repaired(settings, state)
    (row,) = await asyncio.to_thread(History(settings.private).read)
    assert ("v2", "v1", "adopted", "deployed by another program", NOW) == (
        row.tag,
        row.previous,
        row.outcome,
        row.reason,
        row.at,
    )


async def test_adopted_release_leaves_quarantine(settings: Settings):
    installed(settings, V1, V2, link=V2)
    settings.cache_dir.mkdir()
    (settings.cache_dir / "current").write_text("v2--app.tar.gz")
    os.utime(settings.cache_dir / "current", (V2.at - 5, V2.at - 5))
    bad = State().quarantine.add("v2", "b", "rolled back", CLOCK, traffic=True)

    state = await repaired(settings, State(V1, (V1,), quarantine=bad))

    assert state.running is not None
    assert ("v2", ()) == (state.running.tag, state.quarantine.entries)


async def test_release_tried_by_a_killed_dewy_is_not_adopted(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    installed(settings, V1, V2, link=V1)
    place = settings.root / "releases"
    current = Current(settings.root)
    await asyncio.to_thread(current.begin, place / V2.directory, place / V1.directory)
    await asyncio.to_thread(current.switch, place / V2.directory)
    assert V2.directory == await Releases(settings.root).target()

    state = await repaired(settings, State(V1, (V1,)))

    assert V1 == state.running
    assert V1.directory == await Releases(settings.root).target()
    assert [] == [n for n in os.listdir(settings.root) if n.endswith(".undo")]
    assert [] == [r.message for r in caplog.records if r.levelno >= logging.WARNING]


async def test_moved_link_is_put_back_with_owner_and_time(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    installed(settings, V1, V2, link=V1)

    await repaired(settings, State(V2, (V2, V1)))

    assert V2.directory == await Releases(settings.root).target()
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "dewy rollback" in warning.message
    assert {"owner", "moved", "was", "now"} <= warning.__dict__.keys()


async def test_partially_unpacked_release_is_removed(settings: Settings):
    installed(settings, V1, link=V1)
    partial = settings.root / "releases" / f".{V2.directory}.partial"
    partial.mkdir()

    await repaired(settings, State(V1, (V1,)))

    assert not partial.exists()


async def test_removed_release_is_replaced_by_previous_at_boot(
    settings: Settings,
):
    installed(settings, V1, link=None)

    state = await repaired(settings, State(V2, (V2, V1)))

    assert (V1, (V1,)) == (state.running, state.installed)
    assert V1.directory == await Releases(settings.root).target()


async def test_without_any_release_left_there_is_nothing(settings: Settings):
    assert State() == await repaired(settings, State(V2, (V2, V1)))


async def test_a_clock_that_once_ran_ahead_keeps_nothing_out_for_years(
    settings: Settings,
):
    ahead = Clock(wall=lambda: NOW + 10**9)
    far = State().quarantine.add("v2", "b", "it crashed", ahead, traffic=False)

    state = await repaired(settings, replace(State(), quarantine=far))

    (entry,) = state.quarantine
    assert entry.until is not None
    assert entry.until <= NOW + LONGEST_DELAY * 1.2


async def test_release_without_state_is_adopted_and_recorded(settings: Settings):
    installed(settings, V1, link=V1)

    state_store = await boot.load(settings, CLOCK)

    assert state_store.state.running is not None
    assert V1.directory == state_store.state.running.directory
    written = await asyncio.to_thread(StateFile(settings.private).read)
    assert state_store.state == written


def deployed(release: Installed) -> Record:
    done = ("", "deploy", "deployed", "done", "")
    return Record(release.at + 60, release.tag, *done, 60.2)


@pytest.mark.parametrize("content", ["", "{", '{"format": 1, "running": 7}'])
async def test_broken_state_keeps_nothing_down(settings: Settings, caplog, content):
    """It is set aside, `current` is started, and the log says so."""
    installed(settings, V1, V2, link=V2)
    (settings.private / "state.json").write_text(content)
    history = History(settings.private)
    for each in (V1, V2):
        await asyncio.to_thread(history.append, deployed(each))
    state_store = await boot.load(settings, CLOCK)
    await boot.repair(settings, state_store, Releases(settings.root), CLOCK)

    v1, v2 = replace(V1, identity=""), replace(V2, identity="")
    assert v2 == state_store.state.running
    assert {v1, v2} == set(state_store.state.installed)
    (kept,) = await state_store.broken()
    assert content == await asyncio.to_thread(kept.read_text)
    assert [("ERROR", "State set aside")] == [
        (each.levelname, each.message)
        for each in caplog.records
        if each.levelno >= logging.WARNING
    ]
    assert v2 == (await boot.load(settings, CLOCK)).state.running


async def test_unreadable_state_file_raises_error_with_advice(settings: Settings):
    (settings.private / "state.json").mkdir()

    with pytest.raises(DewyError, match=r"state\.json cannot be read: .*move it away"):
        await boot.load(settings, CLOCK)


async def recovered(settings: Settings, artifact: bytes) -> StateStore:
    settings.cache_dir.mkdir()
    (settings.cache_dir / "current").write_text("v1.2.3--app.tar.gz")
    (settings.cache_dir / "v1.2.3--app.tar.gz").write_bytes(artifact)
    state_store = await boot.load(settings, CLOCK)
    releases = Releases(settings.root)
    await boot.recover(settings, state_store, releases, CLOCK)
    return state_store


async def test_a_root_without_its_link_is_brought_back_from_the_cache(
    settings: Settings,
):
    artifact = programs.tarball(programs.files("v1.2.3"))

    state_store = await recovered(settings, artifact)

    assert state_store.state.running is not None
    assert "v1.2.3" == state_store.state.running.tag
    version = settings.root / "current" / "VERSION"
    assert "v1.2.3" == await asyncio.to_thread(version.read_text)


async def test_a_broken_artifact_in_the_cache_is_left_alone(settings: Settings):
    state_store = await recovered(settings, b"rubbish")

    assert state_store.state.running is None
    assert not (settings.root / "current").exists()
    assert await Releases(settings.root).names() == frozenset()


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A leader and a child of one session, both deaf to SIGTERM."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-S", "-c"),
            DEAF_FAMILY,
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        # The child holds the pipe open, too.
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def group(process: subprocess.Popen[bytes], **changes: object) -> Group:
    made = Group(process.pid, start_time(process.pid) or 0, boot_id())
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_orphans_are_ended_with_all_they_have(
    orphan: subprocess.Popen[bytes], tmp_path: Path
):
    assert orphan.stdout is not None
    child = int(await asyncio.to_thread(orphan.stdout.readline))

    await boot.end_orphans([group(orphan)], tmp_path, 0.1)

    assert -signal.SIGKILL == orphan.poll()
    assert start_time(child) is None


@pytest.mark.parametrize("changes", [{"started": 1}, {"boot": "another"}])
async def test_a_pid_given_to_somebody_else_is_spared(
    orphan: subprocess.Popen[bytes], changes: dict[str, object], tmp_path: Path
):
    await boot.end_orphans([group(orphan, **changes)], tmp_path, 0.1)

    assert orphan.poll() is None
    os.kill(orphan.pid, 0)


@contextmanager
def detached(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that bears *mark*."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-c",
            "import signal; print(flush=True); signal.pause()",
        ],
        env={**os.environ, "DEWY_GENERATION": mark},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("ours", [True, False], ids=["this-root", "another-root"])
def test_detached_process_of_a_killed_dewy_is_ended(tmp_path: Path, ours: bool):
    """No group tells of it; its environment does."""
    root = tmp_path if ours else tmp_path / "other"
    with detached(f"3@beef@{root}") as process:
        asyncio.run(boot.end_orphans([], tmp_path, 0.1))

        assert ours == (process.poll() is not None)


async def test_without_orphans_nothing_is_waited_for(tmp_path: Path):
    await boot.end_orphans([Group(2**22 - 1, 5, boot_id())], tmp_path, 3600)


async def test_orphans_are_not_waited_for_while_a_process_cannot_be_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    readable = threading.Event()

    def look(marked: object) -> dict[int, int]:
        readable.wait(60)
        return {}

    monkeypatch.setattr(boot, "bearers", look)
    monkeypatch.setattr("dewy.supervisor.processes.LOOKING", 0.1)
    try:
        async with asyncio.timeout(20):
            await boot.end_orphans([], tmp_path, 3600)
    finally:
        readable.set()
    assert "Orphans not looked for" in caplog.messages


async def test_an_undoing_that_was_cut_short_is_finished(settings: Settings):
    """It begins with the quarantine, so what runs and is in there was being left."""
    installed(settings, V1, V2, link=V2)
    bad = State().quarantine.add("v2", "b", "it died", CLOCK, traffic=True)

    state = await repaired(settings, State(V2, (V2, V1), bad))

    assert V1 == state.running
    assert V1.directory == await Releases(settings.root).target()
    # Nothing between the two is tried by itself, as after any rollback.
    assert (NOW, "put back, because v2 failed") == (state.back_at, state.because)


async def test_quarantined_release_runs_if_no_other_is_installed(
    settings: Settings,
):
    installed(settings, V2, link=V2)
    bad = State().quarantine.add("v2", "b", "it died", CLOCK, traffic=True)

    assert V2 == (await repaired(settings, State(V2, (V2,), bad))).running


async def test_a_full_disk_does_not_keep_an_adopted_release_down(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    installed(settings, V1, link=V1)

    def refuse(file: StateFile, state: State) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StateFile, "write", refuse)

    state_store = await boot.load(settings, CLOCK)

    assert state_store.state.running is not None


@pytest.mark.parametrize("command", ["container", "server"])
async def test_release_of_another_command_is_told_once_and_not_started(
    settings: Settings, caplog: pytest.LogCaptureFixture, command: str
):
    image = Installed("v1", "sha256:aa", "", NOW)
    kept = V1 if command == "container" else image
    await asyncio.to_thread(StateFile(settings.private).write, State(kept, (kept,)))

    state_store = await boot.load(replace(settings, command=command), CLOCK)

    assert (None, ()) == (state_store.state.running, state_store.state.installed)
    assert [
        "Release of another command is not started: waiting for the first deployment"
    ] == caplog.messages
