"""Instruments of all metrics: name, unit, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .._speedups.interface import CONNECT_BOUNDS, DURATION_BOUNDS
from ..histogram import DRAIN_BOUNDS, LOOK_BOUNDS

__all__ = [
    "DEPLOYMENT_BOUNDS",
    "INSTRUMENTS",
    "Instrument",
    "MetricKind",
]

DEPLOYMENT_BOUNDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class MetricKind(Enum):
    """The kind of a metric, which decides how its values combine."""

    COUNTER = "counter"
    LEVEL = "level"  # OpenTelemetry's UpDownCounter
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    The definition of a metric.

    Attributes:
        name: Name in OpenTelemetry's form.

        help: Meaning in one sentence.

        labels: Names of its labels, besides those of the scope.

        unit: `s` for seconds, `By` for bytes, or "".

        bounds: Upper bounds of a histogram's buckets, in its unit.
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
        "Time from accepting a connection to its end.",
        PORT,
        bounds=DURATION_BOUNDS,
    ),
    _histogram(
        "dewy.proxy.connect.latency",
        "Time to connect to a backend, for attempts that succeeded.",
        PORT,
        bounds=CONNECT_BOUNDS,
    ),
    _counter(
        "dewy.proxy.bytes.transferred",
        "Bytes relayed in both directions.",
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
        "Backends in service.",
        (PORT,),
    ),
    _counter("dewy.deployments.total", "Deployments that succeeded.", "command"),
    _histogram(
        "dewy.deployment.duration",
        "Duration of deployments that succeeded, without the pull of images.",
        "command",
        bounds=DEPLOYMENT_BOUNDS,
    ),
    _counter("dewy.deployment.errors.total", "Deployments that failed.", "command"),
    _counter("dewy.healthchecks.total", "Health checks made."),
    _counter("dewy.healthchecks.failures.total", "Health checks that failed."),
    _counter(
        "dewy.server.restarts.total",
        "Generations that took over from another, by reason: `deploy`, or `signal` "
        "for a signal, `dewy reload` or a timer.",
        "reason",
    ),
    _gauge("dewy.container.replicas", "Running replicas.", "app"),
    _gauge("dewy.container.desired_replicas", "Wanted replicas.", "app"),
    _gauge(
        "dewy.container.restarts",
        "Number of times that a replica was replaced at its version because it had "
        "ended, or was restarted by the engine.",
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
        "Start time of a replica, since the epoch.",
        *REPLICA,
        unit="s",
    ),
    _gauge("dewy.container.info", "1 for every replica.", *REPLICA, "image", "version"),
    # Metrics that the original does not have.
    _counter(
        "dewy.proxy.faults.total",
        "Faults of the proxy, by cause; clients do not notice most of them.",
        PORT,
        "cause",
    ),
    _counter(
        "dewy.proxy.retries.total",
        "Attempts to connect to another backend after the first one of a client "
        "failed.",
        PORT,
    ),
    _counter(
        "dewy.proxy.panics.total",
        "Number of times that no healthy backend was left.",
        PORT,
    ),
    _gauge(
        "dewy.proxy.backend.up",
        "1 for a backend in service, 0 for one that drains or does not answer.",
        *BACKEND,
    ),
    _gauge(
        "dewy.proxy.backend.connections", "Open connections of a backend.", *BACKEND
    ),
    _counter(
        "dewy.proxy.backend.connections.total",
        "Attempts to connect to a backend, except those that this host lacked the "
        "means to make.",
        *BACKEND,
    ),
    _counter(
        "dewy.proxy.backend.bytes",
        "Bytes relayed to and from a backend.",
        *BACKEND,
        unit="By",
    ),
    _counter(
        "dewy.proxy.backend.failures.total",
        "Failed attempts to connect to a backend.",
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
        "1 for a replica in service whose health checks succeed, 0 if they fail.",
        *REPLICA,
    ),
    _counter(
        "dewy.rollbacks.total",
        "Rollbacks to an earlier version, by reason: `probation`, or `operator`.",
        "command",
        "reason",
    ),
    _histogram(
        "dewy.drain.duration",
        "Time that a replaced generation or replica took to finish its connections.",
        "command",
        bounds=DRAIN_BOUNDS,
    ),
    _gauge(
        "dewy.quarantine.versions",
        "Versions in quarantine, by its end: a time, or an operator's retry.",
        "until",
    ),
    _gauge("dewy.held", "1 while an operator holds the version, else 0."),
    _gauge("dewy.release.info", "1 for the running version.", "command", "version"),
    _gauge(
        "dewy.release.deployed.timestamp",
        "Time at which the running version was deployed, since the epoch.",
        unit="s",
    ),
    _gauge("dewy.release.up", "1 while the deployed release serves, else 0."),
    _counter(
        "dewy.container.deaths.total",
        "Replicas that ended by themselves, by reason: `exit`, `signal`, `oom` "
        "(killed for its use of memory) or `unknown`.",
        "app",
        "reason",
    ),
    _counter(
        "dewy.server.deaths.total",
        "Generations in service that ended, by reason: `exit` or `signal`.",
        "reason",
    ),
    _gauge("dewy.server.generations", "Living generations.", "state"),
    _counter(
        "dewy.download.bytes", "Bytes of artifacts and images fetched.", unit="By"
    ),
    _counter("dewy.polls.total", "Polls of the registry."),
    _counter(
        "dewy.polls.failures.total",
        "Polls without an answer of the registry, or without a release for this host.",
    ),
    _histogram(
        "dewy.poll.duration",
        "Time that the registry took to name the newest release.",
        bounds=LOOK_BOUNDS,
    ),
    _counter(
        "dewy.remote.requests.total",
        "HTTP requests that dewy made itself, by status; `failed` stands for no "
        "answer. Those of the clients for S3, Google and Consul are not included.",
        "host",
        "status",
    ),
    _gauge(
        "dewy.remote.ratelimit.remaining",
        "Requests left until the rate limit of a host, if the host states it.",
        "host",
    ),
    _counter(
        "dewy.notices.total",
        "Notices, by scheme of the notifier and by outcome: `delivered`, `failed` for "
        "each failed attempt, `lost` if dewy gave up.",
        "kind",
        "outcome",
    ),
    _gauge(
        "dewy.notifiers.failing",
        "Notifiers whose last attempt failed, by scheme.",
        "kind",
    ),
    _gauge(
        "dewy.poll.last.timestamp", "Time of the last poll, since the epoch.", unit="s"
    ),
    _gauge(
        "dewy.build.info",
        "1, with labels that describe this dewy.",
        "version",
        "python",
        "relay",
        "loop",
    ),
)

INSTRUMENTS = {each.name: each for each in _ALL}
