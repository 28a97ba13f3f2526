"""How values get their room in a cache's directory."""

from __future__ import annotations

from pathlib import Path

from dewy.caches import disk
from dewy.caches.disk import Room

SCOPE = "0123456789abcdef"


def room(root: Path, key: str, *retained: str) -> Room:
    return Room(root, f"{SCOPE}/{key}", 1000, frozenset(retained))


def put(root: Path, key: str, *retained: str) -> list[str] | None:
    return disk.put(room(root, key, *retained), root / SCOPE / key, bytes(600))


def test_value_evicts_older_value_when_limit_is_exceeded(tmp_path: Path) -> None:
    assert [] == put(tmp_path, "a")

    assert [f"{SCOPE}/a"] == put(tmp_path, "b")

    assert [f"{SCOPE}/b"] == disk.keys(tmp_path, f"{SCOPE}/")


def test_retained_value_is_not_displaced(tmp_path: Path) -> None:
    put(tmp_path, "a")

    assert put(tmp_path, "b", f"{SCOPE}/a") is None

    assert bytes(600) == disk.get(tmp_path / SCOPE / "a")


def test_value_displaces_itself(tmp_path: Path) -> None:
    put(tmp_path, "a")

    assert [] == put(tmp_path, "a")
