"""Contestants in turn, A B C C B A …: what is near in time had the same machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from . import network
from .containers import contestants
from .contestants import Contestant, Start, dewy, haproxies, haproxy, nginx
from .crowd import crowd
from .exchange import Measure, built, measuring
from .load import measure
from .processes import HOST, free_ports, resident_bytes
from .scraper import scraping
from .workloads import (
    CONNECTING,
    CONTAINED,
    PACED,
    SMALL,
    WORKLOADS,
    Sample,
    Workload,
)

IDLE = 9000
FEW_IDLE = 100
FEW_BACKENDS = 2
MANY_BACKENDS = 1000

PURE = "two implementations"
THREADS = "two relay threads"
HELD = "the interpreter lock held"
CROWDED = "connections already open"
CHOICE = "backends to choose from"
CONTAINERS = "a container"
TELEMETRY = "telemetry"
TURNS = 9

Samples = dict[str, list[Sample]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """
    How long and how often to measure, and where to keep files meanwhile.

    `all` has those measured, too, that no pass mark is about.
    """

    rounds: int
    seconds: int
    directory: Path
    addresses: Sequence[str]
    say: Say
    all: bool = True

    def few(self) -> Sequence[str]:
        """The backends of every comparison but the one of their number."""
        return self.addresses[:FEW_BACKENDS]

    def often(self, times: int) -> Plan:
        """
        Return it with that many times the rounds, for what few leave to chance: p99.

        The short run judges none of that.
        """
        return replace(self, rounds=times * self.rounds) if self.all else self


def alternate(
    plan: Plan,
    workload: Workload,
    contestants: Sequence[Contestant],
    measure: Measure = measure,
) -> Samples:
    """
    Measure each in every round; a first round warms up and is forgotten.

    Every other round goes backwards: nobody has the advantage of being first.
    """
    samples: Samples = {contestant.name: [] for contestant in contestants}
    for turn in range(plan.rounds + 1):
        for contestant in contestants[:: -1 if turn % 2 else 1]:
            sample = measure(workload, contestant, plan.seconds)
            if turn:
                samples[contestant.name].append(sample)
    plan.say(f"{workload.name}: {_summary(samples)}")
    return samples


def _summary(samples: Samples) -> str:
    return ", ".join(
        f"{name} {median(sample.rate for sample in taken):,.0f}/s "
        f"at {median(sample.cpu_per_request for sample in taken) * 1e6:,.1f} µs"
        for name, taken in samples.items()
    )


@contextmanager
def started(
    plan: Plan, starts: Sequence[Start], addresses: Sequence[str] | None = None
) -> Iterator[list[Contestant]]:
    """All of them at once: who is not asked uses no processor."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(start(addresses or plan.few(), plan.directory))
            for start in starts
        ]


def proxies(plan: Plan) -> dict[str, Samples]:
    """Dewy, HAProxy and nginx under every workload."""
    others = [*haproxies(), nginx] if plan.all else [haproxy()]
    with started(plan, [dewy(), *others]) as contestants:
        return {
            workload.name: alternate(
                # p99 scatters more than anything else.
                plan.often(3) if workload is SMALL else plan,
                workload,
                contestants,
            )
            for workload in WORKLOADS
        }


def paced(plan: Plan) -> dict[str, Samples]:
    """Large bodies where both ends of every connection pace what they send."""
    if not network.available(network.PACED):
        plan.say(f"{PACED.name}: {network.PACED} cannot be had here")
        return {}
    others = haproxies() if plan.all else [haproxy()]
    with network.pinned(network.PACED), started(plan, [dewy(), *others]) as contestants:
        return {PACED.name: alternate(plan, PACED, contestants)}


def implementations(plan: Plan) -> dict[str, Samples]:
    """
    The compiled relay, and its pure twin where nothing is compiled, nor uvloop.

    Under a load that is leaner than either, or the load would be what is compared.
    """
    starts = [dewy(), dewy("pure", compiled=False, loop="asyncio")]
    if plan.all:
        starts.append(dewy("pure on uvloop", compiled=False, loop="uvloop"))
    (port,) = free_ports(1)
    exchange = measuring(built(plan.directory), port)
    with started(plan, starts, [f"{HOST}:{port}"]) as contestants:
        return {PURE: alternate(plan.often(2), SMALL, contestants, exchange)}


def relay_threads(plan: Plan) -> dict[str, Samples]:
    """One relay thread and two."""
    starts = [dewy("one thread"), dewy("two threads", threads=2)]
    with started(plan, starts) as contestants:
        return {THREADS: alternate(plan, SMALL, contestants)}


def held_lock(plan: Plan) -> dict[str, Samples]:
    """Two that run the same module; in one a thread keeps the interpreter lock."""
    module = ("benchmarks.held_lock",)
    starts = [dewy("lock free", module=module), dewy("lock held", module=module)]
    with started(plan, starts) as contestants:
        _begin_holding(contestants[1].pid)
        # Between equals, p99 scatters most of all.
        return {HELD: alternate(plan.often(4), SMALL, contestants)}


def _begin_holding(pid: int) -> None:
    tasks = Path(f"/proc/{pid}/task")
    before = len(list(tasks.iterdir()))
    os.kill(pid, signal.SIGUSR2)
    deadline = time.monotonic() + 10
    while len(list(tasks.iterdir())) <= before:
        if time.monotonic() > deadline:
            raise RuntimeError("no thread began to hold the interpreter lock")
        time.sleep(0.02)


def open_connections(plan: Plan) -> dict[str, Samples]:
    """New connections beside few and beside many that are open and idle."""
    counts = {f"{FEW_IDLE} open": FEW_IDLE, f"{IDLE:,} open": IDLE}
    with (
        started(plan, [dewy(name) for name in counts]) as contestants,
        ExitStack() as s,
    ):
        for contestant in contestants:
            s.enter_context(crowd(contestant.port, counts[contestant.name]))
        return {CROWDED: alternate(plan, CONNECTING, contestants)}


def backend_counts(plan: Plan) -> dict[str, Samples]:
    """New connections with few and with many backends to choose from."""
    names = [f"{FEW_BACKENDS} backends", f"{MANY_BACKENDS:,} backends"]
    with (
        started(plan, [dewy(names[0])]) as few,
        started(plan, [dewy(names[1])], plan.addresses[:MANY_BACKENDS]) as many,
    ):
        return {CHOICE: alternate(plan, CONNECTING, [*few, *many])}


def telemetry(plan: Plan) -> dict[str, Samples]:
    """One that counts for nobody, and one that is scraped every second."""
    (port,) = free_ports(1)
    on = ("--telemetry", "--admin-port", str(port))
    starts = [dewy("telemetry off"), dewy("telemetry on", options=on)]
    with started(plan, starts) as contestants, scraping(port):
        plan = replace(plan, rounds=max(TURNS, plan.rounds))
        return {TELEMETRY: alternate(plan, SMALL, contestants)}


def containers(plan: Plan) -> dict[str, Samples]:
    """A container through dewy, and at the port its engine publishes."""
    with network.host(), contestants(plan.directory) as found:
        return {CONTAINERS: alternate(plan, CONTAINED, found)}


LOADED = (
    proxies,
    paced,
    implementations,
    relay_threads,
    held_lock,
    open_connections,
    backend_counts,
    telemetry,
    containers,
)


def idle_memory(plan: Plan) -> dict[str, float]:
    """Bytes a connection costs each proxy while nobody uses it."""
    others = [haproxy(), nginx] if plan.all else []
    with started(plan, [dewy(), *others]) as contestants:
        for contestant in contestants:
            with crowd(contestant.port, FEW_IDLE):
                pass  # what is allocated once, for the first connection, is not its own
        memory = {one.name: _idle_bytes(one) for one in contestants}
    shown = ", ".join(f"{name} {taken:,.0f} bytes" for name, taken in memory.items())
    plan.say(f"{IDLE:,} idle connections, each: {shown}")
    return memory


def _idle_bytes(contestant: Contestant) -> float:
    before = resident_bytes(contestant.pid)
    with crowd(contestant.port, IDLE):
        return (resident_bytes(contestant.pid) - before) / IDLE
