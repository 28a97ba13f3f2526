"""What `file://` names, and what tells one content of a file from another."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError, RemoteError
from dewy.remotes import local


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///srv/app", "/srv/app"),
        ("file:///srv/a%20b%25%23", "/srv/a b%#"),
        ("file://dist/app", "dist/app"),
        ("file://./dist", "dist"),
        ("file://Dist?artifact=x", "Dist"),
    ],
)
def test_path_is_absolute_or_relative(url: str, expected: str) -> None:
    assert Path(expected) == local.path(urlsplit(url))


@pytest.mark.parametrize(
    "url", ["file://", "file://?a=b", "file:///a#b", "file:///%00"]
)
def test_url_that_names_no_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="must name a path"):
        local.path(urlsplit(url))


def test_identity_differs_with_size_time_and_inode(tmp_path: Path) -> None:
    def written(name: str, content: bytes, at: int) -> str:
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(at, at))
        return local.identity((tmp_path / name).stat())

    first = written("a", b"1", 1)
    others = {written("b", b"1", 1), written("a", b"22", 1), written("a", b"1", 2)}

    assert first == written("a", b"1", 1)
    assert first not in others
    assert 3 == len(others)


def test_operating_system_errors_become_remote_errors() -> None:
    said = pytest.raises(RemoteError, match="could not read it: No such file")

    with said, local.translated("read it"):
        Path("/nowhere/at/all").stat()
