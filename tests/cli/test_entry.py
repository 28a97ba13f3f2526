"""What a command ends with."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from dewy.cli import entry
from dewy.errors import ConfigError, RemoteError, RootBusy, UnknownScheme
from tests.cli.conftest import Dewy

COMMAND = ("server", "--registry", "mem://x", "--", "./app")


def failing(monkeypatch: pytest.MonkeyPatch, exc: BaseException) -> None:
    async def run(settings: object, *_: object) -> int:
        raise exc

    monkeypatch.setattr("dewy.daemon.run", run)


@pytest.mark.parametrize(
    ("exc", "status", "text"),
    [
        (ConfigError("no such thing"), 2, "no such thing"),
        (UnknownScheme("nobody answers"), 2, "nobody answers"),
        (RootBusy("another dewy"), 1, "another dewy"),
        (RemoteError("two\nlines"), 1, "two lines"),
        (FileNotFoundError(2, "No such file", "x"), 1, "No such file"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
    ],
)
def test_error_prints_single_line_and_sets_exit_status(
    dewy: Dewy,
    monkeypatch: pytest.MonkeyPatch,
    exc: Exception,
    status: int,
    text: str,
) -> None:
    """Start-up errors were once a stack trace; 2 is never worth a restart."""
    failing(monkeypatch, exc)
    ended = dewy(*COMMAND)

    assert (status, "") == (ended.status, ended.out)
    assert ended.err.startswith("dewy: error: ")
    assert text in ended.err
    assert 1 == ended.err.count("\n")


def test_debug_level_shows_where(dewy: Dewy, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever mends dewy."""
    failing(monkeypatch, RemoteError("it is down"))
    ended = dewy("--log-level", "debug", *COMMAND)

    assert 1 == ended.status
    assert "Traceback (most recent call last)" in ended.err
    assert "dewy: error: it is down\n" in ended.err


def test_keyboard_interrupt_is_quiet(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever pressed the keys knows."""
    failing(monkeypatch, KeyboardInterrupt())
    ended = dewy(*COMMAND)

    assert 130 == ended.status
    assert "" == ended.err.strip()


def test_secret_in_an_error_is_struck_out(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of defence holds here, too."""
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_0123456789")
    failing(monkeypatch, RemoteError("sent ghp_0123456789"))

    assert "dewy: error: sent ***\n" == dewy(*COMMAND).err


@pytest.mark.parametrize(
    "words",
    [
        ("server", "--registry"),
        ("server", "--nothing"),
        ("retry",),
        ("hold", "extra"),
        ("completion", "tcsh"),
        ("server", "--interval", "0", *COMMAND[1:]),
        ("assets",),
    ],
)
def test_usage_error_prints_single_line_with_exit_status_2(
    dewy: Dewy, words: tuple[str, ...]
) -> None:
    """Whichever part of dewy noticed it."""
    ended = dewy(*words)

    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith("dewy: error: ")
    assert 1 == ended.err.count("\n")


def test_status_of_the_daemon_is_the_status(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends for its own reasons."""

    async def run(settings: object, *_: object) -> int:
        return 1

    monkeypatch.setattr("dewy.daemon.run", run)

    assert 1 == dewy(*COMMAND).status


def test_main_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console script calls this."""
    monkeypatch.setattr(sys, "argv", ["dewy", "nothing"])
    with pytest.raises(SystemExit) as caught:
        entry.main()

    assert 2 == caught.value.code


def test_reader_may_leave(root: Path) -> None:
    """`dewy history | head` ends quietly, in a process of its own."""
    code = (
        "import sys; from dewy.cli import run;"
        "sys.stdin.read(); sys.exit(run(['--help']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=60)

    assert (1, b"") == (process.returncode, err)


def test_looking_creates_nothing(dewy: Dewy, root: Path) -> None:
    """Every invocation of the original made a cache where it stood."""
    for words in (
        ("--version",),
        ("--help",),
        ("status",),
        ("history", "--json"),
        ("check", "--registry", "file:///nowhere"),
        ("hold",),
        ("completion", "zsh"),
    ):
        dewy(*words)

    assert [] == list(root.iterdir())


@pytest.mark.parametrize("told", [True, False])
def test_user_of_a_root_that_may_not_be_read_is_named(
    dewy: Dewy, root: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """A file of one's own has another cause."""
    (root / ".dewy").mkdir()

    async def refused(settings: object) -> None:
        raise PermissionError(13, "Permission denied", f"{root}/.dewy/state.json")

    monkeypatch.setattr("dewy.admin.operate.look", refused)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + told)
    user = pwd.getpwuid(os.getuid()).pw_name
    ended = dewy("status")

    assert 1 == ended.status
    assert "state.json: Permission denied" in ended.err
    assert told == (f"; this root belongs to {user}: sudo -u {user} dewy" in ended.err)
