"""Asking those who know."""

from __future__ import annotations

from dewy.telemetry.points import MetricSource, Point, collected


async def test_sources_are_refreshed_before_any_is_read() -> None:
    """Then all are read, so that their figures are of one moment."""
    seen: list[str] = []

    async def look() -> None:
        seen.append("asked")

    def read(name: str) -> list[Point]:
        seen.append(name)
        return [Point(name, 1)]

    found = await collected(
        [MetricSource(lambda: read("a")), MetricSource(lambda: read("b"), look)]
    )

    assert ["asked", "a", "b"] == seen
    assert [Point("a", 1), Point("b", 1)] == found
