"""A root that the original dewy left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dewy.deploy.rebuild import adopt, cached, deployed_at
from dewy.deploy.state import State

STAMP = "20310203T040506Z"
AT = 1927857906.0


def left_behind(root: Path, key: str | None, written: float = AT) -> Path:
    (root / "releases" / STAMP).mkdir(parents=True)
    (root / "current").symlink_to(root / "releases" / STAMP)
    cache = root / ".dewy" / "cache"
    cache.mkdir(parents=True)
    if key is not None:
        (cache / "current").write_text(key)
        os.utime(cache / "current", (written, written))
    return cache


def test_the_release_that_current_points_at_runs(tmp_path: Path):
    cache = left_behind(tmp_path, "v1.2.3--app_linux_amd64.tar.gz")

    running = adopt(tmp_path, cache).running

    assert running is not None
    assert ("v1.2.3", "", STAMP, AT) == (
        running.tag,
        running.identity,
        running.directory,
        running.at,
    )


def test_a_key_newer_than_the_link_names_a_release_that_failed(tmp_path: Path):
    """
    It wrote the key before it unpacked, so a failed deployment looked successful.
    """
    cache = left_behind(tmp_path, "v2.0.0--app.tar.gz", AT + 60)

    running = adopt(tmp_path, cache).running

    assert running is not None
    assert ("", STAMP) == (running.tag, running.name)


@pytest.mark.parametrize("key", [None, "", "no separator", b"\xff\xfe"])
def test_without_a_key_the_release_runs_unnamed(tmp_path: Path, key: object):
    cache = left_behind(tmp_path, None)
    if isinstance(key, bytes):
        (cache / "current").write_bytes(key)
    elif isinstance(key, str):
        (cache / "current").write_text(key)

    running = adopt(tmp_path, cache).running

    assert running is not None
    assert "" == running.tag


def test_an_empty_root_has_nothing(tmp_path: Path):
    assert State() == adopt(tmp_path, tmp_path / ".dewy" / "cache")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["missing", "elsewhere"])
def test_a_link_to_anything_else_is_not_ours(tmp_path: Path, target: str):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / target)

    assert State() == adopt(tmp_path, tmp_path)


def test_directories_tell_their_time():
    assert (AT, AT, None) == (
        deployed_at(STAMP),
        deployed_at(f"{STAMP}-2"),
        deployed_at("scratch"),
    )


def test_release_without_link_is_found_in_cache(tmp_path: Path):
    (tmp_path / "current").write_text("v1.2.3--app.tar.gz")
    (tmp_path / "v1.2.3--app.tar.gz").touch()

    assert ("v1.2.3", tmp_path / "v1.2.3--app.tar.gz") == cached(tmp_path)


@pytest.mark.parametrize("key", ["v1--gone.tgz", "v1", "--x", "../v1--x", ""])
def test_a_key_without_its_artifact_tells_nothing(tmp_path: Path, key: str):
    (tmp_path / "current").write_text(key)

    assert cached(tmp_path) is None
