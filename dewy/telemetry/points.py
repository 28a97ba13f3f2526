"""What those who are asked answer with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..histogram import Histogram

__all__ = ["Point", "Points", "Source", "collected"]


class Point(NamedTuple):
    """
    One figure.

    Attributes:
        name: Of its instrument.

        value: A number; of a histogram, how it is distributed.

        labels: In the order in which the instrument names them.
    """

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


Points = Iterable[Point]


async def _ready() -> None:
    """Nothing is to be asked first."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    Somebody to ask when figures are wanted.

    Attributes:
        read: Its points; called on the event loop, and quick.

        ask: Awaited before, for what takes time; it has its own deadline.
    """

    read: Callable[[], Points]
    ask: Callable[[], Awaitable[None]] = _ready


async def collected(sources: Iterable[Source]) -> list[Point]:
    """All points of *sources*, at one moment as far as that can be."""
    asked = list(sources)
    for source in asked:
        await source.ask()
    return [point for source in asked for point in source.read()]
