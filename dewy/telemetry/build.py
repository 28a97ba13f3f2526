"""Build of this dewy, as a figure."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from .. import __version__, loop
from .._speedups import COMPILED
from .points import Point

__all__ = ["build"]


def build() -> Iterator[Point]:
    """Yield the version, and the platform it runs on."""
    relay = "compiled" if COMPILED else "pure"
    labels = (__version__, platform.python_version(), relay, loop.name())
    yield Point("dewy.build.info", 1, labels)
