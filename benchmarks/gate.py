"""
Compares dewy's proxy with HAProxy and nginx, and itself with itself.

    python -m benchmarks.gate --short

Ends with status 1, and names the rows, where a ratio is beyond its pass mark.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from . import network
from .backends import backends
from .comparisons import LOADED, MANY_BACKENDS, Plan, Samples, idle_memory
from .processes import free_ports, raise_descriptor_limit
from .rows import Results, Verdict, failures, judge, pooled
from .tables import memory_table, streams_line, verdicts_table, workloads_table
from .workloads import MIXED, Sample

ROUNDS, SECONDS = 7, 2
SHORT_ROUNDS, SHORT_SECONDS = 3, 1
DESCRIPTORS = 20_000

COMPARISONS = {function.__name__.replace("_", "-"): function for function in LOADED}


def run(plan: Plan, only: frozenset[str]) -> Results:
    """Make the comparisons named in *only*, or all."""
    results = Results()
    for name, compare in COMPARISONS.items():
        if not only or name in only:
            results.samples |= settled(compare, plan)
    if not only or "idle-memory" in only:
        results.idle_bytes = idle_memory(plan)
    return results


def settled(
    compare: Callable[[Plan], dict[str, Samples]], plan: Plan
) -> dict[str, Samples]:
    """
    Make a comparison; where it misses a pass mark, once more, and all rounds count.

    A machine that was busy otherwise for a minute is told from a proxy that is slow.
    """
    samples = compare(plan)
    verdicts = judged(judge(Results(samples)), short=not plan.all)
    if any(not verdict.passed for verdict in verdicts):
        plan.say("Beyond a pass mark: as many rounds once more, and all count.")
        samples = pooled(samples, compare(plan))
    return samples


def judged(verdicts: Sequence[Verdict], *, short: bool) -> list[Verdict]:
    """Return those that open or close the gate; the others are only printed."""
    return [each for each in verdicts if not (short and each.by_machine)]


def as_text(results: Results) -> str:
    """Every table there is something for."""
    parts = [f"Measured in {results.network}."] if results.network else []
    parts += [verdicts_table(judge(results))]
    if MIXED.name in results.samples:
        parts += [workloads_table(results), streams_line(results, MIXED.name)]
    if results.idle_bytes:
        parts.append(memory_table(results))
    return "\n\n".join(parts)


def as_json(results: Results) -> dict[str, Any]:
    """Results, and the machine they were taken on, for `from_json`."""
    machine = {"processor": _processor(), "kernel": platform.release()}
    machine |= {"system": platform.freedesktop_os_release().get("PRETTY_NAME", "")}
    return {"machine": machine | {"python": platform.python_version()}} | asdict(
        results
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()


def from_json(stored: Mapping[str, Any]) -> Results:
    """Read what `as_json` wrote."""
    samples = {
        comparison: {
            name: [Sample(**sample) for sample in taken]
            for name, taken in contestants.items()
        }
        for comparison, contestants in stored["samples"].items()
    }
    network_of_old = stored.get("network", "")
    return Results(samples, dict(stored["idle_bytes"]), network_of_old)


def measured(
    rounds: int, seconds: int, only: frozenset[str], *, everyone: bool
) -> Results:
    """Start the backends and make the comparisons; raises RuntimeError."""
    raise_descriptor_limit()
    with ExitStack() as stack:
        try:
            stack.enter_context(network.isolated())
        except PermissionError:
            say("Not in a network namespace of its own, which takes root.")
        say(f"Network: {network.summary()}")
        return _measured(Plan(rounds, seconds, Path(), [], say, everyone), only)


def _measured(plan: Plan, only: frozenset[str]) -> Results:
    ports = free_ports(MANY_BACKENDS)
    with tempfile.TemporaryDirectory(prefix="dewy-bench-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # nginx gives up root before it reads the bodies
        with backends(ports, directory, DESCRIPTORS) as addresses:
            plan = replace(plan, directory=directory, addresses=addresses)
            return replace(run(plan, only), network=network.summary())


def say(line: str) -> None:
    """Tell how far it is; the tables come last, on standard output."""
    click.echo(line, err=True)


@click.command()
@click.option(
    "--short", is_flag=True, help="Few short rounds; no figures but the gate's."
)
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds that count.")
@click.option("--seconds", type=click.IntRange(min=1), help="Length of a measurement.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([*COMPARISONS, "idle-memory"]),
    help="Make only this comparison; may be repeated.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Keep results there."
)
def main(
    short: bool,
    rounds: int | None,
    seconds: int | None,
    only: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Measure dewy against HAProxy and nginx; fail where it is too far behind."""
    try:
        results = measured(
            rounds or (SHORT_ROUNDS if short else ROUNDS),
            seconds or (SHORT_SECONDS if short else SECONDS),
            frozenset(only),
            everyone=not short,
        )
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    if json_file:
        json_file.write_text(json.dumps(as_json(results), indent=1))
    click.echo(as_text(results))
    verdicts = judge(results)
    deciding = judged(verdicts, short=short)
    for each in verdicts:
        if each not in deciding:
            say(f"gate: printed only, as it goes by the machine: {each.title}")
    wrong = failures(results, deciding)
    for line in wrong:
        click.echo(f"gate: {line}", err=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
