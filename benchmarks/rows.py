"""The pass marks: ratios, so that a slow machine is no failure; and who passed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .comparisons import (
    CHOICE,
    CONTAINERS,
    CROWDED,
    FEW_BACKENDS,
    FEW_IDLE,
    HELD,
    IDLE,
    MANY_BACKENDS,
    PURE,
    TELEMETRY,
    THREADS,
    Samples,
)
from .containers import DIRECT, PUBLISHED, RELAYED
from .workloads import (
    BULK,
    CONNECTING,
    LARGE,
    LONELY,
    MEDIUM,
    MIXED,
    PACED,
    SMALL,
    Sample,
)

Measure = Callable[[Sample], float]

RATE: Measure = operator.attrgetter("rate")
USER: Measure = operator.attrgetter("user_per_request")
CPU: Measure = operator.attrgetter("cpu_per_request")
MACHINE: Measure = operator.attrgetter("machine_per_request")
P50: Measure = operator.attrgetter("p50")
P99: Measure = operator.attrgetter("p99")


@dataclass
class Results:
    """All that was measured: samples by comparison and contestant, and memory."""

    samples: dict[str, Samples] = field(default_factory=dict)
    idle_bytes: dict[str, float] = field(default_factory=dict)
    network: str = ""


@dataclass(frozen=True)
class Row:
    """
    One line of the table: a figure, what is hoped for and what must hold.

    `of` is divided by `against`, round by round; the median of that counts. A figure
    that goes `by_machine` is judged in the whole run, and printed in the short one.
    """

    title: str
    comparison: str
    measure: Measure
    aim: float
    gate: float
    of: str = "dewy"
    against: str = "haproxy"
    more_is_better: bool = False
    by_machine: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a row came out."""

    title: str
    figure: float
    aim: float
    gate: float
    more_is_better: bool
    by_machine: bool = False

    @property
    def passed(self) -> bool:
        """Whether the figure is within the pass mark."""
        return self._reaches(self.gate)

    @property
    def reached(self) -> bool:
        """Whether it is as good as was hoped."""
        return self._reaches(self.aim)

    def _reaches(self, mark: float) -> bool:
        return self.figure >= mark if self.more_is_better else self.figure <= mark


def _rate(comparison: str, aim: float = 1.0, gate: float = 0.85) -> Row:
    title = f"requests/s, {comparison}"
    return Row(title, comparison, RATE, aim, gate, more_is_better=True)


def _p99(title: str, comparison: str) -> Row:
    return Row(title, comparison, P99, aim=1.0, gate=1.3, by_machine=True)


ROWS = (
    _rate(SMALL.name, aim=1.05),
    _rate(MEDIUM.name),
    _rate(LARGE.name),
    # Twenty bodies in a second: no other row scatters as much.
    _rate(BULK.name, gate=0.75),
    # Both ends pace: what passes at a time is little.
    _rate(PACED.name, gate=0.5),
    _rate(CONNECTING.name, gate=0.75),
    _rate(LONELY.name),
    Row("CPU per request, 11 bytes", SMALL.name, CPU, 0.80, 0.95),
    Row("CPU per request, 64 KiB", MEDIUM.name, CPU, 0.85, 1.05),
    Row("CPU per request, 100 MB", BULK.name, CPU, 0.55, 0.75),
    _p99("p99 of small clients, alone", SMALL.name),
    _p99("p99 of small clients, beside 4 bulk streams", MIXED.name),
    Row(
        "requests/s, compiled : pure Python",
        PURE,
        RATE,
        aim=4,
        gate=2.5,
        against="pure",
        more_is_better=True,
        by_machine=True,
    ),
    Row(
        "user CPU per request, compiled : pure Python",
        PURE,
        USER,
        aim=0.05,
        gate=0.1,
        against="pure",
    ),
    Row(
        "CPU per request, two relay threads : one",
        THREADS,
        CPU,
        aim=1.15,
        gate=1.35,
        of="two threads",
        against="one thread",
    ),
    Row(
        "p99, interpreter lock held : free",
        HELD,
        P99,
        aim=1.3,
        gate=1.3,
        of="lock held",
        against="lock free",
        by_machine=True,
    ),
    Row(
        f"CPU per connection, {IDLE:,} open : {FEW_IDLE}",
        CROWDED,
        CPU,
        aim=1.1,
        gate=1.5,
        of=f"{IDLE:,} open",
        against=f"{FEW_IDLE} open",
    ),
    Row(
        f"CPU per connection, {MANY_BACKENDS:,} backends : {FEW_BACKENDS}",
        CHOICE,
        CPU,
        aim=1.1,
        gate=1.5,
        of=f"{MANY_BACKENDS:,} backends",
        against=f"{FEW_BACKENDS} backends",
    ),
    Row(
        "CPU per request, telemetry on : off",
        TELEMETRY,
        CPU,
        aim=1.0,
        gate=1.05,
        of="telemetry on",
        against="telemetry off",
    ),
    Row(
        "requests/s, container through dewy : its published port",
        CONTAINERS,
        RATE,
        aim=1.3,
        gate=1.15,
        of=DIRECT,
        against=PUBLISHED,
        more_is_better=True,
    ),
    Row(
        "requests/s, container through dewy : through dewy, published port",
        CONTAINERS,
        RATE,
        aim=1.6,
        gate=1.3,
        of=DIRECT,
        against=RELAYED,
        more_is_better=True,
    ),
)

MEMORY_AIM = 1.0
MEMORY_GATE = 1.5


def ratio(samples: Samples, of: str, against: str, measure: Measure) -> float:
    """
    The median, over the rounds, of one contestant's figure over the other's.

    Not a number, which passes nowhere, if the other never served anything.
    """
    rounds = zip(samples[of], samples[against], strict=True)
    ratios = [
        measure(one) / measure(other)
        for one, other in rounds
        if 0 < measure(other) < math.inf
    ]
    return median(ratios) if ratios else math.nan


def hardest(samples: Samples, row: Row) -> float:
    """Return the row's ratio to whichever of the peers of that name did best."""
    peers = [name for name in samples if name.partition("-")[0] == row.against]
    ratios = [ratio(samples, row.of, each, row.measure) for each in peers]
    if not ratios or any(map(math.isnan, ratios)):
        return math.nan
    return min(ratios) if row.more_is_better else max(ratios)


def pooled(
    first: Mapping[str, Samples], second: Mapping[str, Samples]
) -> dict[str, Samples]:
    """The rounds of the same comparisons, made twice, as if made at once."""
    return {
        comparison: {
            name: [*taken, *second[comparison][name]] for name, taken in samples.items()
        }
        for comparison, samples in first.items()
    }


def judge(results: Results) -> list[Verdict]:
    """A verdict for every row whose comparison was made."""
    verdicts = [
        Verdict(
            row.title,
            hardest(results.samples[row.comparison], row),
            row.aim,
            row.gate,
            row.more_is_better,
            row.by_machine,
        )
        for row in ROWS
        if row.comparison in results.samples
    ]
    if "dewy" in results.idle_bytes:
        kibibytes = results.idle_bytes["dewy"] / 1024
        title = f"KiB per idle connection, {IDLE:,} of them"
        verdicts.append(
            Verdict(title, kibibytes, MEMORY_AIM, MEMORY_GATE, False, by_machine=True)
        )
    return verdicts


def failures(results: Results, verdicts: Sequence[Verdict]) -> list[str]:
    """What is wrong, a line each; nothing where the gate is open."""
    missed = [
        f"{verdict.title}: {verdict.figure:.2f}, must be "
        f"{'at least' if verdict.more_is_better else 'at most'} {verdict.gate}"
        for verdict in verdicts
        if not verdict.passed
    ]
    broken = [
        f"{comparison}: {errors} requests failed through {name}"
        for comparison, samples in results.samples.items()
        for name, taken in samples.items()
        if (errors := sum(sample.errors for sample in taken))
    ]
    return missed + broken
