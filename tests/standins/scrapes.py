"""What a scrape says, taken apart by Prometheus' own parser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

SCOPE = frozenset({"otel_scope_name", "otel_scope_version", "otel_scope_schema_url"})


class Series(NamedTuple):
    """One series, without the labels that all have."""

    name: str
    labels: frozenset[tuple[str, str]]


Scrape = Mapping[Series, float]


def parsed(text: bytes) -> Scrape:
    """Every sample of *text*; all but `target_info` have to name their scope."""
    found: dict[Series, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.name != "target_info":
                assert SCOPE <= sample.labels.keys(), sample
            labels = {k: v for k, v in sample.labels.items() if k not in SCOPE}
            series = Series(sample.name, frozenset(labels.items()))
            assert series not in found, series
            found[series] = sample.value
    return found


def value(scrape: Scrape, name: str, **labels: str) -> float:
    """Of the series called *name* with exactly those labels."""
    return scrape[Series(name, frozenset(labels.items()))]


def names(scrape: Scrape) -> set[str]:
    """Of all series."""
    return {series.name for series in scrape}


async def scraped(port: int) -> Scrape:
    """What a dewy answers on its local HTTP API."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(30):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    assert b"text/plain; version=" in head
    return parsed(body)
