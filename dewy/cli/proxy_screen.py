"""The status of a `dewy proxy`, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .output import columns

__all__ = ["proxy_lines"]


def proxy_lines(status: Mapping[str, Any]) -> list[str]:
    """Return a line for each port and each backend of the proxy."""
    rows = [*_ports(status), *_backends(status)]
    return columns(rows) if rows else []


def _ports(status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in status["ports"]:
        yield (
            f"port {each['address']}",
            "",
            f"{each['connections']} connections",
            f"{each['connections_total']} in all",
            f"{each['errors']} errors" if each["errors"] else "",
        )


def _backends(status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    several = len(status["ports"]) > 1
    for each in status["backends"]:
        yield (
            f"backend {each['address']}",
            str(each["state"]),
            f"{each['connections']} connections",
            f"{each['connections_total']} in all",
            f"for port {each['port']}" if several else "",
        )
