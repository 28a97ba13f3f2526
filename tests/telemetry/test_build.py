"""What this dewy is."""

from __future__ import annotations

import platform

from dewy import __version__
from dewy._speedups import COMPILED
from dewy.telemetry.instruments import INSTRUMENTS
from dewy.telemetry.points import build


def test_build_is_told() -> None:
    """As `dewy --version` tells it."""
    (point,) = build()

    told = dict(zip(INSTRUMENTS[point.name].labels, point.labels, strict=True))
    assert 1 == point.value
    assert __version__ == told["version"]
    assert platform.python_version() == told["python"]
    assert ("compiled" if COMPILED else "pure") == told["relay"]
    assert told["loop"] in {"asyncio", "uvloop"}
