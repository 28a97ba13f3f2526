"""Sockets at long paths."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from dewy.admin.control import address
from dewy.errors import DewyError


def test_short_path_is_itself(tmp_path: Path) -> None:
    """Whether the directory exists is seen when it is used."""
    with address(Path("/run/app"), "a.sock") as place:
        assert "/run/app/a.sock" == place


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_long_path_goes_through_the_directory(tmp_path: Path) -> None:
    """And leaves no descriptor open."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listener, address(deep, "a.sock") as place:
        listener.bind(place)

    assert (deep / "a.sock").is_socket()
    assert before == len(os.listdir("/proc/self/fd"))


def test_long_path_without_proc_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shorter root is the way out there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with (
        pytest.raises(DewyError, match="too long for a socket"),
        address(tmp_path / ("x" * 120), "a.sock"),
    ):
        pass
