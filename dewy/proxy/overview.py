"""Ports of the proxy, as the status has them."""

from __future__ import annotations

from typing import Any

from .port import Port

__all__ = ["describe"]


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
