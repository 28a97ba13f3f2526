"""Points of metrics, and their sources: dewy's build and its proxy."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .. import __version__, loop
from .._speedups import COMPILED
from .._speedups.interface import (
    CONNECT_BOUNDS,
    DURATION_BOUNDS,
    BackendStats,
    PortStats,
)
from ..config import Endpoint
from ..histogram import Histogram

__all__ = ["MetricSource", "Point", "build", "collected", "proxied"]


class Point(NamedTuple):
    """
    A value of a metric.

    Attributes:
        name: Name of its instrument.

        labels: Values of the labels, in the order of the instrument's.
    """

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


Points = Iterable[Point]


async def _nothing() -> None:
    """Do nothing, for a source without slow parts."""


@dataclass(frozen=True, slots=True)
class MetricSource:
    """
    A source of points.

    Attributes:
        read: Returns the points; called on the event loop, so it must not block.

        ask: Awaited before *read* to fetch slow parts; has its own deadline.
    """

    read: Callable[[], Points]
    ask: Callable[[], Awaitable[None]] = _nothing


async def collected(sources: Iterable[MetricSource]) -> list[Point]:
    """Return the points of *sources*, read at one moment after all were asked."""
    asked = list(sources)
    for source in asked:
        await source.ask()
    return [point for source in asked for point in source.read()]


def build() -> Iterator[Point]:
    """Yield dewy's version, with its interpreter, relay and event loop."""
    relay = "compiled" if COMPILED else "pure"
    labels = (__version__, platform.python_version(), relay, loop.name())
    yield Point("dewy.build.info", 1, labels)


class ObservedBackend(Protocol):
    """The part of `dewy.proxy.Backend` that is read."""

    endpoint: Endpoint
    serving: bool
    ejected: bool

    def stats(self) -> BackendStats: ...


class ObservedPort(Protocol):
    """The part of `dewy.proxy.Port` that is read."""

    endpoint: Endpoint

    @property
    def backends(self) -> Sequence[ObservedBackend]: ...

    def stats(self) -> PortStats: ...


def proxied(ports: Callable[[], Sequence[ObservedPort]]) -> MetricSource:
    """Return a source for the *ports* that exist when it is read."""
    return MetricSource(lambda: _of_ports(ports()))


def _of_ports(ports: Sequence[ObservedPort]) -> Iterator[Point]:
    names = Counter(_name(port.endpoint) for port in ports)
    for port in ports:
        name = _name(port.endpoint)
        yield from _of_port(port, name if names[name] == 1 else str(port.endpoint))


def _of_port(port: ObservedPort, name: str) -> Iterator[Point]:
    counted, label = port.stats(), (name,)
    backends, errors = port.backends, counted.errors
    unserved = errors.unanswered + errors.no_backend + errors.accept_failed
    moved = counted.bytes_up + counted.bytes_down
    yield Point("dewy.proxy.connections.total", counted.accepted, label)
    yield Point("dewy.proxy.connections.active", counted.active, label)
    yield Point("dewy.proxy.connection.duration", _durations(counted), label)
    yield Point("dewy.proxy.connect.latency", _latencies(counted), label)
    yield Point("dewy.proxy.bytes.transferred", moved, label)
    yield Point("dewy.proxy.errors.total", unserved, label)
    serving = sum(each.serving for each in backends)
    yield Point("dewy.proxy.backends", serving, label)
    yield Point("dewy.proxy.retries.total", counted.retries, label)
    yield Point("dewy.proxy.panics.total", counted.panics, label)
    for cause, count in errors._asdict().items():
        yield Point("dewy.proxy.faults.total", count, (*label, cause))
    # While a backend drains, a newer one may have its address: that one counts.
    newest = {str(each.endpoint): each for each in backends}
    for address, backend in newest.items():
        yield from _of_backend(backend, (*label, address))


def _of_backend(backend: ObservedBackend, labels: tuple[str, ...]) -> Iterator[Point]:
    counted, used = backend.stats(), backend.serving and not backend.ejected
    moved = counted.bytes_up + counted.bytes_down
    yield Point("dewy.proxy.backend.up", int(used), labels)
    yield Point("dewy.proxy.backend.connections", counted.active, labels)
    yield Point("dewy.proxy.backend.connections.total", counted.total, labels)
    yield Point("dewy.proxy.backend.bytes", moved, labels)
    yield Point("dewy.proxy.backend.failures.total", counted.failures, labels)
    yield Point("dewy.proxy.backend.broken.total", counted.broken, labels)


def _durations(counted: PortStats) -> Histogram:
    return Histogram(DURATION_BOUNDS, counted.duration, counted.duration_seconds)


def _latencies(counted: PortStats) -> Histogram:
    return Histogram(CONNECT_BOUNDS, counted.connect_latency, counted.connect_seconds)


def _name(endpoint: Endpoint) -> str:
    """Return the port's number, as the original does; of a Unix socket, its path."""
    return str(endpoint) if endpoint.path else str(endpoint.port)
