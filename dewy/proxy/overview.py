"""Ports of the proxy and their backends, as the status has them."""

from __future__ import annotations

from typing import Any

from .backend import Backend
from .port import Port

__all__ = ["describe", "describe_backends"]


def describe(port: Port) -> dict[str, Any]:
    """
    Return the address and the counters of *port*.

    `errors` counts clients that no backend served and failed attempts to accept one,
    `retries` the attempts to connect after a client's first.
    """
    counted = port.stats()
    errors = counted.errors
    return {
        "address": str(port.endpoint),
        "connections": counted.active,
        "connections_total": counted.accepted,
        "bytes_up": counted.bytes_up,
        "bytes_down": counted.bytes_down,
        "errors": errors.unanswered + errors.no_backend + errors.accept_failed,
        "retries": counted.retries,
    }


def describe_backends(port: Port) -> list[dict[str, Any]]:
    """
    Return the backends of *port*, each with its `state` and its counters.

    `failures` counts attempts to connect to it that failed, `broken` the connections
    that it broke.
    """
    return [_describe(port, backend) for backend in port.backends]


def _describe(port: Port, backend: Backend) -> dict[str, Any]:
    counted = backend.stats()
    return {
        "id": f"{port.number}-{backend.number}",
        "address": str(backend.endpoint),
        "port": str(port.endpoint),
        "state": _state(backend),
        "connections": counted.active,
        "connections_total": counted.total,
        "bytes_up": counted.bytes_up,
        "bytes_down": counted.bytes_down,
        "failures": counted.failures,
        "broken": counted.broken,
    }


def _state(backend: Backend) -> str:
    """Return `serving`, `ejected` where it does not answer, or `draining`."""
    if not backend.serving:
        return "draining"
    return "ejected" if backend.ejected else "serving"
