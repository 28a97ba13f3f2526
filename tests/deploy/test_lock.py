"""One dewy per root."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dewy.deploy.lock import STARTING, UNREACHABLE, Holder, holder, lock
from dewy.errors import RootBusy
from dewy.system import start_time

HOLD = """
import sys
from pathlib import Path
from dewy.deploy.lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return tmp_path / ".dewy"


def test_second_lock_in_same_root_reports_pid_of_holder(private: Path) -> None:
    """Two of them in one root would undo each other's work."""
    with (
        lock(private),
        pytest.raises(RootBusy, match=f"pid {os.getpid()} works in {private.parent}"),
        lock(private),
    ):
        pass


def test_lock_names_its_holder(private: Path) -> None:
    """By pid and start time, which together name one process."""
    with lock(private):
        expected = f"{os.getpid()} {start_time(os.getpid())}\n"
        assert expected == (private / "lock").read_text()


def test_holder_is_told_with_its_phase(private: Path) -> None:
    assert holder(private) is None
    with lock(private, phase=STARTING) as held:
        assert Holder(os.getpid(), STARTING) == holder(private)
        held.tell("")
        assert Holder(os.getpid(), "") == holder(private)
        # As it stays on a read-only file system, where nothing can be written.
        (private / "lock").write_text(f"{os.getpid()} 1\n")
        assert Holder(os.getpid(), UNREACHABLE) == holder(private)
    assert holder(private) is None


def test_lock_is_held_on_a_read_only_file_system(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that came up with a read-only disk did not start what lay there."""
    with lock(private):
        pass
    read_only = OSError(errno.EROFS, "Read-only file system")
    opened = os.open

    def refused(path: object, flags: int, *mode: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise read_only
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refused)
    with lock(private) as held:
        with pytest.raises(RootBusy), lock(private):
            pass
        assert Holder(os.getpid(), UNREACHABLE) == holder(private)
        monkeypatch.undo()
        held.tell("")
        assert Holder(os.getpid(), "") == holder(private)


def test_lock_is_free_after_use(private: Path) -> None:
    """Also after a failure; what a longer text left behind is gone."""
    with pytest.raises(LookupError), lock(private):
        raise LookupError
    assert holder(private) is None
    (private / "lock").write_text("9" * 100)
    with lock(private):
        assert 1 == (private / "lock").read_text().count("\n")


def test_lock_dies_with_its_holder(private: Path) -> None:
    """`kill -9` leaves no lock that somebody would have to remove."""
    command = [sys.executable, "-c", HOLD, str(private)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert b"held\n" == other.stdout.readline()
        with pytest.raises(RootBusy, match=f"pid {other.pid} "), lock(private):
            pass
        other.kill()
        other.wait(timeout=30)
        with lock(private):
            pass


def test_programs_do_not_inherit_the_lock(private: Path) -> None:
    """One that outlives dewy would keep the next dewy out."""
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with lock(private):
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    try:
        assert child.stdout is not None
        assert b"up\n" == child.stdout.readline()
        with lock(private):
            pass
    finally:
        child.communicate(timeout=30)


def test_directory_is_private(private: Path) -> None:
    """Also where an older one, open to everybody, is found."""
    with lock(private):
        assert 0o700 == private.stat().st_mode & 0o777
    private.chmod(0o755)
    with lock(private):
        assert 0o700 == private.stat().st_mode & 0o777


def test_holder_of_an_unwritten_lock_is_named_by_the_kernel(private: Path) -> None:
    """Between taking it and writing it there is a moment, and a disk may be full."""
    with lock(private):
        (private / "lock").write_bytes(b"\xff")
        with pytest.raises(RootBusy, match=f"pid {os.getpid()} works"), lock(private):
            pass


def test_a_full_disk_does_not_keep_dewy_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds the lock is for people; holding it takes no space."""

    def refuse(*args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)

    with lock(tmp_path / ".dewy"):
        pass
