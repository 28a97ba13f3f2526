"""Settings once they are made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from dewy.config import Settings


def test_private_files_are_in_the_root() -> None:
    """Wherever the cache is."""
    settings = Settings(command="status", root=Path("r"), cache_dir=Path("c"))

    assert Path("r/.dewy") == settings.private


def test_settings_do_not_change() -> None:
    """What was validated once stays valid."""
    settings = Settings(command="status", root=Path("r"), cache_dir=Path("c"))
    with pytest.raises(FrozenInstanceError):
        settings.keep = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("registry", "expected"), [("IMG://h/r", True), ("ghr://o/r", False), ("", False)]
)
def test_registry_of_images_is_told_by_its_scheme(
    registry: str, expected: bool
) -> None:
    """In any case of its letters."""
    root = Path("r")
    settings = Settings(command="check", root=root, cache_dir=root, registry=registry)
    assert expected is settings.images
