"""Points of figures, and the sources that give them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..histogram import Histogram

__all__ = ["MetricSource", "Point", "Points", "collected"]


class Point(NamedTuple):
    """
    Point: a single figure.

    Attributes:
        name: Name of its instrument.

        value: Number; of a histogram, the distribution.

        labels: Label values, in the order in which the instrument names them.
    """

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


Points = Iterable[Point]


async def _ready() -> None:
    """Return at once: nothing has to be awaited first."""


@dataclass(frozen=True, slots=True)
class MetricSource:
    """
    Source of figures.

    Attributes:
        read: Returns its points; called on the event loop, and quick.

        ask: Awaited before, for slow parts; it has its own deadline.
    """

    read: Callable[[], Points]
    ask: Callable[[], Awaitable[None]] = _ready


async def collected(sources: Iterable[MetricSource]) -> list[Point]:
    """Collect the points of *sources*, at one moment as far as possible."""
    asked = list(sources)
    for source in asked:
        await source.ask()
    return [point for source in asked for point in source.read()]
