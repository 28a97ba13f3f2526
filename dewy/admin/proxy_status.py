"""The status of `dewy proxy`, which deploys nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .. import __version__
from ..config import Endpoint, HostName
from ..proxy import Port
from ..proxy.port import describe, describe_backends
from .status import PAUSED

__all__ = ["proxy_status"]

LAST = "its last addresses are used"

Unresolved = Mapping[HostName, Sequence[Endpoint]]


def proxy_status(
    ports: Sequence[Port],
    *,
    name: str,
    root: str,
    pid: int,
    unresolved: Unresolved = MappingProxyType({}),
    **more: Any,
) -> dict[str, Any]:
    """
    Return the status of a proxy of *ports*, with the keys of other modes that apply.

    `backends` has those of all ports. A backend that does not answer is degraded, and
    so is a port without any; ports that accept no more are left out.

    Args:
        unresolved: Backends whose names cannot be looked up, with their last addresses;
            one that never had any is degraded, the others need attention.

        more: Further keys, such as `attention`.
    """
    ports = [port for port in ports if not port.closed]
    backends = [each for port in ports for each in describe_backends(port)]
    paused = bool(ports) and all(port.paused for port in ports)
    lost, stale = _unknown(unresolved)
    degraded = [*_degraded(backends), *_unserved(ports), *lost]
    return {
        "name": name,
        "command": "proxy",
        "pid": pid,
        "dewy": __version__,
        "root": root,
        "running": None,
        "previous": None,
        "healthy": not degraded,
        "degraded": degraded,
        "attention": [*([PAUSED] if paused else []), *stale],
        "underway": None,
        "quarantine": [],
        "generations": [],
        "replicas": [],
        "ports": [describe(port) for port in ports],
        "backends": backends,
        "paused": paused,
        **more,
    }


def _degraded(backends: Sequence[dict[str, Any]]) -> list[str]:
    """Return a phrase for each address that does not answer, whichever port uses it."""
    ejected = [each["address"] for each in backends if each["state"] == "ejected"]
    return [f"backend {each} does not answer" for each in dict.fromkeys(ejected)]


def _unknown(unresolved: Unresolved) -> tuple[list[str], list[str]]:
    """Return phrases for names that never had an address, and for those that had."""
    lost = [each for each, last in unresolved.items() if not last]
    stale = [each for each, last in unresolved.items() if last]
    return (
        [f"backend {each} cannot be looked up" for each in lost],
        [f"backend {each} cannot be looked up; {LAST}" for each in stale],
    )


def _unserved(ports: Sequence[Port]) -> list[str]:
    return [
        f"port {port.endpoint} has no backend" for port in ports if not port.serving
    ]
