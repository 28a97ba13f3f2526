"""Replicas as the admin API shows them; the first seven keys are the original's."""

from __future__ import annotations

from typing import Any

from .application import image_name, index_of
from .replica import Replica
from .rollout import Phase
from .terminations import TerminationLog

__all__ = ["describe"]

LOOPBACK = "127.0.0.1"

NEVER = "0001-01-01T00:00:00Z"
"""The zero time of engines, as readers of the original's JSON always expect a time."""


def describe(replica: Replica, terminations: TerminationLog) -> dict[str, Any]:
    """Return a replica as JSON, with the deaths of its predecessors in its place."""
    container = replica.container
    index = index_of(container.labels)
    last = terminations.last(index, replica.version)
    check = replica.last_check
    restarts = terminations.restarts(index, replica.version)
    return {
        "id": container.id,
        "name": container.name,
        "image": image_name(container),
        "status": container.state,
        "ip_port": _published(replica),
        "started_at": container.started_at or NEVER,
        "deployed_at": replica.deployed_at or NEVER,
        "labels": dict(container.labels),
        "version": replica.version,
        "digest": replica.digest,
        "phase": replica.evident_phase.name.lower(),
        "upstream": _upstream(replica),
        "way": replica.upstream.route if replica.upstream else "",
        **replica.traffic,
        "health": _health(replica),
        "problem": replica.problem,
        "last_check": check and check.to_json(),
        "restarts": container.restarts + restarts,
        "last_terminated": last and last.as_json(),
    }


def _published(replica: Replica) -> str:
    """Return the published address of the proxy's first port, as the original does."""
    published = replica.container.published
    for port in replica.ports.values():
        if port in published:
            return f"{LOOPBACK}:{published[port]}"
    return ""


def _upstream(replica: Replica) -> str:
    if replica.upstream is None or not replica.upstream.endpoints:
        return ""
    return str(replica.upstream.endpoints[0])


def _health(replica: Replica) -> str:
    phase = replica.evident_phase
    if phase is Phase.SERVING:
        return "healthy" if replica.health_tracker.healthy else "unhealthy"
    return "starting" if phase in (Phase.STARTING, Phase.READY) else ""
