"""Instruments of all metrics: name, unit, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .._speedups.interface import CONNECT_BOUNDS, DURATION_BOUNDS
from ..histogram import DRAIN_BOUNDS

__all__ = [
    "DEPLOYMENT_BOUNDS",
    "INSTRUMENTS",
    "LOOK_BOUNDS",
    "Instrument",
    "MetricKind",
]

DEPLOYMENT_BOUNDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LOOK_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class MetricKind(Enum):
    """Behaviour of a metric."""

    COUNTER = "counter"
    LEVEL = "level"  # a sum that goes up and down
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    Instrument of a metric.

    Attributes:
        name: Name in OpenTelemetry's form.

        kind: Behaviour of the metric.

        help: Meaning of the metric.

        labels: Own labels, besides those of the scope.

        unit: `s` for seconds, `By` for bytes, or "".

        bounds: Bounds of a histogram's buckets, in its unit.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, ...] = ()


def _counter(name: str, help: str, *labels: str, unit: str = "") -> Instrument:
    return Instrument(name, MetricKind.COUNTER, help, labels, unit)


def _gauge(name: str, help: str, *labels: str, unit: str = "") -> Instrument:
    return Instrument(name, MetricKind.GAUGE, help, labels, unit)


def _histogram(
    name: str, help: str, *labels: str, bounds: tuple[float, ...]
) -> Instrument:
    return Instrument(name, MetricKind.HISTOGRAM, help, labels, "s", bounds)


PORT = "proxy_port"
BACKEND = (PORT, "backend")
REPLICA = ("app", "container", "replica")

_ALL = (
    # Metrics of the original.
    _counter("dewy.proxy.connections.total", "Connections accepted.", PORT),
    Instrument(
        "dewy.proxy.connections.active", MetricKind.LEVEL, "Connections open.", (PORT,)
    ),
    _histogram(
        "dewy.proxy.connection.duration",
        "From accepting a connection to its end.",
        PORT,
        bounds=DURATION_BOUNDS,
    ),
    _histogram(
        "dewy.proxy.connect.latency",
        "Time that connecting to a backend took, where it succeeded.",
        PORT,
        bounds=CONNECT_BOUNDS,
    ),
    _counter(
        "dewy.proxy.bytes.transferred",
        "Bytes passed on, both ways together.",
        PORT,
        unit="By",
    ),
    _counter(
        "dewy.proxy.errors.total",
        "Connections that no backend served, and failed attempts to accept one.",
        PORT,
    ),
    Instrument(
        "dewy.proxy.backends",
        MetricKind.LEVEL,
        "Backends that get new connections.",
        (PORT,),
    ),
    _counter("dewy.deployments.total", "Deployments that succeeded.", "command"),
    _histogram(
        "dewy.deployment.duration",
        "How long those took; without the pulling of images.",
        "command",
        bounds=DEPLOYMENT_BOUNDS,
    ),
    _counter("dewy.deployment.errors.total", "Deployments that failed.", "command"),
    _counter("dewy.healthchecks.total", "Health checks made."),
    _counter("dewy.healthchecks.failures.total", "Health checks that failed."),
    _counter(
        "dewy.server.restarts.total",
        "Generations that took over from another: `deploy`, or asked for by a "
        "`signal`, `dewy reload` or a timer.",
        "reason",
    ),
    _gauge("dewy.container.replicas", "Replicas that run.", "app"),
    _gauge("dewy.container.desired_replicas", "Replicas that should.", "app"),
    _gauge(
        "dewy.container.restarts",
        "How often a replica was replaced at its version because it had ended, or "
        "restarted by the engine.",
        *REPLICA,
    ),
    _gauge(
        "dewy.container.status",
        "1 for the state that a replica is in, 0 for the others.",
        *REPLICA,
        "state",
    ),
    _gauge(
        "dewy.container.last_terminated.exit_code",
        "Exit status of a replica that has ended, or of the last one in its place.",
        *REPLICA,
    ),
    _gauge(
        "dewy.container.oom_killed",
        "1 for a replica that was killed for its use of memory, or whose last "
        "predecessor in its place was; else 0.",
        *REPLICA,
    ),
    _gauge(
        "dewy.container.started.timestamp",
        "When a replica was started, since the epoch.",
        *REPLICA,
        unit="s",
    ),
    _gauge("dewy.container.info", "1 for every replica.", *REPLICA, "image", "version"),
    # Metrics that came with this dewy.
    _counter(
        "dewy.proxy.faults.total",
        "What went wrong, by cause; of most, clients notice nothing.",
        PORT,
        "cause",
    ),
    _counter(
        "dewy.proxy.retries.total",
        "Attempts to connect to another backend, after a client's first.",
        PORT,
    ),
    _counter(
        "dewy.proxy.panics.total",
        "Times that the last backend in good health was lost.",
        PORT,
    ),
    _gauge(
        "dewy.proxy.backend.up",
        "1 for a backend that is used, 0 for one that leaves or does not answer.",
        *BACKEND,
    ),
    _gauge("dewy.proxy.backend.connections", "Connections of a backend.", *BACKEND),
    _counter(
        "dewy.proxy.backend.connections.total",
        "Attempts to connect to a backend that this host could make.",
        *BACKEND,
    ),
    _counter(
        "dewy.proxy.backend.bytes",
        "Bytes passed on to and from a backend.",
        *BACKEND,
        unit="By",
    ),
    _counter(
        "dewy.proxy.backend.failures.total",
        "Attempts to connect to a backend that failed.",
        *BACKEND,
    ),
    _counter(
        "dewy.proxy.backend.broken.total",
        "Connections that a backend closed without a byte, or reset, before their "
        "clients left.",
        *BACKEND,
    ),
    _gauge(
        "dewy.container.healthy",
        "1 for a replica in service whose checks succeed, 0 where they fail.",
        *REPLICA,
    ),
    _counter(
        "dewy.rollbacks.total",
        "Ways back to an earlier version: in `probation`, or by an `operator`.",
        "command",
        "reason",
    ),
    _histogram(
        "dewy.drain.duration",
        "How long what was replaced took to let go of its connections.",
        "command",
        bounds=DRAIN_BOUNDS,
    ),
    _gauge(
        "dewy.quarantine.versions",
        "Versions kept out, until their time comes or until an operator retries them.",
        "until",
    ),
    _gauge("dewy.held", "1 while an operator holds the version, else 0."),
    _gauge("dewy.release.info", "1, for the version that runs.", "command", "version"),
    _gauge(
        "dewy.release.deployed.timestamp",
        "When the version that runs was deployed, since the epoch.",
        unit="s",
    ),
    _gauge("dewy.release.up", "1 while what was deployed is at work, else 0."),
    _counter(
        "dewy.container.deaths.total",
        "Replicas that ended without being told to, by reason: `exit`, `signal`, "
        "`oom` (killed for its use of memory) or `unknown`.",
        "app",
        "reason",
    ),
    _counter(
        "dewy.server.deaths.total",
        "Generations in service that ended, by reason: `exit` or `signal`.",
        "reason",
    ),
    _gauge("dewy.server.generations", "Generations that live.", "state"),
    _counter(
        "dewy.download.bytes", "Bytes of artifacts and images fetched.", unit="By"
    ),
    _counter("dewy.polls.total", "Looks at the registry."),
    _counter(
        "dewy.polls.failures.total",
        "Polls that the registry did not answer, or with nothing for this host.",
    ),
    _histogram(
        "dewy.poll.duration",
        "Time that the registry took to tell what is newest.",
        bounds=LOOK_BOUNDS,
    ),
    _counter(
        "dewy.remote.requests.total",
        "HTTP requests that dewy made itself, by what was answered; `failed` is no "
        "answer. Those of the clients of S3, Google and Consul are not among them.",
        "host",
        "status",
    ),
    _gauge(
        "dewy.remote.ratelimit.remaining",
        "Requests that a host will still answer, where it said so.",
        "host",
    ),
    _counter(
        "dewy.notices.total",
        "Notices, by the scheme of the notifier and by what came of them: `delivered`, "
        "`failed` for each attempt that did, `lost` if none is made any more.",
        "kind",
        "outcome",
    ),
    _gauge(
        "dewy.notifiers.failing",
        "Notifiers whose last attempt failed, by scheme.",
        "kind",
    ),
    _gauge("dewy.poll.last.timestamp", "When it looked, since the epoch.", unit="s"),
    _gauge(
        "dewy.build.info",
        "1, with what this dewy is.",
        "version",
        "python",
        "relay",
        "loop",
    ),
)

INSTRUMENTS = {each.name: each for each in _ALL}
