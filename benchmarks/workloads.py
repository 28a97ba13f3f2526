"""What the proxies are asked to carry, and what is noted while they do."""

from __future__ import annotations

import math
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Workload:
    """Clients that ask again and again for a body of one size."""

    name: str
    body: int
    clients: int
    keep_alive: bool = True
    bulk_streams: int = 0
    """Clients beside these that fetch 100 MB bodies; they are not in the sample."""

    @property
    def path(self) -> str:
        """Where the backend keeps that body."""
        return f"/{self.body}"


BULK_BODY = 100_000_000

SMALL = Workload("64 keep-alive clients, 11 bytes", 11, 64)
MEDIUM = Workload("64 KiB", 64 * KIB, 64)
LARGE = Workload("1 MiB", MIB, 16)
BULK = Workload("100 MB", BULK_BODY, 4)
CONNECTING = Workload("a connection per request", 11, 64, keep_alive=False)
LONELY = Workload("one client", 11, 1)
MIXED = Workload("64 small clients beside 4 bulk streams", 11, 64, bulk_streams=4)
PACED = Workload("1 MiB, under BBR", MIB, 16)
CONTAINED = Workload("64 keep-alive clients of a container, 11 bytes", 11, 64)

WORKLOADS = (SMALL, MEDIUM, LARGE, BULK, CONNECTING, LONELY, MIXED)
BODIES = sorted({KIB, *(workload.body for workload in WORKLOADS)})


@dataclass(frozen=True)
class Sample:
    """
    One contestant under one workload, once.

    Times are in seconds, infinite if no reply was complete. `cpu` is what the proxy's
    process used for all of it, `bulk` what the streams beside the clients fetched,
    in bytes per second, `user` its share of `cpu` outside the kernel, `machine` what
    the whole machine used: clients, backends, and kernel threads that work for a proxy.
    """

    requests: float
    seconds: float
    p50: float
    p99: float
    cpu: float
    errors: int = 0
    bulk: float = 0.0
    user: float = 0.0
    machine: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def user_per_request(self) -> float:
        """As `cpu_per_request`, without the kernel's share."""
        return self.user / self.requests if self.requests else math.inf

    @property
    def machine_per_request(self) -> float:
        """Seconds of the whole machine's processor time for a request."""
        return self.machine / self.requests if self.requests else math.inf

    @property
    def cpu_per_request(self) -> float:
        """Seconds of the proxy's processor time for a request; infinite for none."""
        return self.cpu / self.requests if self.requests else math.inf
