"""What a generation finds in its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.supervisor.environment import environment, read_envdir


def built(names: tuple[str, ...], **base: str) -> dict[str, str]:
    return environment(base, generation=7, names=names, notify="@there")


def test_sockets_are_told_in_both_dialects():
    found = built(("8080", "127.0.0.1:81", "[::1]:82"))

    assert "8080=3;127.0.0.1:81=4;[::1]:82=5" == found["SERVER_STARTER_PORT"]
    assert "3" == found["LISTEN_FDS"]
    assert "8080:81:82" == found["LISTEN_FDNAMES"]
    assert "7" == found["SERVER_STARTER_GENERATION"]
    assert "@there" == found["NOTIFY_SOCKET"]


def test_a_job_worker_is_told_of_no_socket():
    found = built(())

    assert "" == found["SERVER_STARTER_PORT"]
    assert "LISTEN_FDS" not in found


def test_service_manager_variables_are_not_inherited():
    found = built(
        (), LISTEN_PID="1", LISTEN_FDS="9", WATCHDOG_USEC="5", NOTIFY_SOCKET="@ours"
    )

    assert not {"LISTEN_PID", "LISTEN_FDS", "WATCHDOG_USEC"} & set(found)
    assert "@there" == found["NOTIFY_SOCKET"]


def test_everything_else_is_inherited():
    assert "v" == built((), APP_SETTING="v")["APP_SETTING"]


def test_envdir_is_a_variable_a_file(tmp_path: Path):
    (tmp_path / "DATABASE").write_text("first line\nsecond line\n")
    (tmp_path / "EMPTY").write_text("")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "BAD=NAME").write_text("x")
    (tmp_path / "directory").mkdir()

    assert {"DATABASE": "first line", "EMPTY": ""} == read_envdir(tmp_path)


def test_a_missing_envdir_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_envdir(tmp_path / "none")
