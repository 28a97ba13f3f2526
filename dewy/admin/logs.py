"""Program output: generations' as dewy keeps it, replicas' as their engine does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DewyError, EngineError
from ..logs import summary
from ..supervisor.generations import Generations
from ..supervisor.worker import Worker

if TYPE_CHECKING:
    from ..containers.replica import Replica
    from ..containers.replica_set import ReplicaSet

__all__ = ["LINES", "MOST", "logs"]

LINES = 50
MOST = 1000
"""Lines of one source in one answer."""

WIDEST = 4096
NANOSECONDS = 1e9
BUDGET = 2 << 20
"""Characters in one answer."""

After = Mapping[str, int]
Part = dict[str, Any]


async def logs(
    command: str,
    generations: Generations | None,
    replica_set: ReplicaSet | None,
    args: Mapping[str, Any],
) -> Part:
    """
    Return the last lines of every source, or of those that *args* names.

    `lines` is how many, `generation` a number, `replica` an index, name or id.
    A source has `lines`, and when each was written in `times`, seconds since the epoch.
    Of the sources in `after` only what came after that position is told, and none
    of them has to be there any more.

    Raises:
        DewyError: the processes that run here have no output that dewy could tell.
    """
    count = min(max(int(args.get("lines") or LINES), 1), MOST)
    after = args.get("after") or {}
    which = _which(command, "replica" if replica_set else "generation", args)
    if replica_set is not None:
        parts = await _replicas(replica_set, which, after, count)
    elif generations is not None:
        parts = _generations(generations, which, after, count)
    else:
        raise DewyError(f"dewy {command} runs no program, so there are no logs")
    return {"sources": _within(BUDGET, parts)}


def _which(command: str, kind: str, args: Mapping[str, Any]) -> str:
    """Return the source of *kind* that was asked for, or ""."""
    for other in ("generation", "replica"):
        if args.get(other) and other != kind and command != "assets":
            raise DewyError(f"dewy {command} has no {other}s; say --{kind}")
    return str(args.get(kind) or "")


def _generations(
    generations: Generations, which: str, after: After, count: int
) -> list[Part]:
    workers = sorted(generations.workers, key=lambda each: each.generation)
    if not generations.captures:
        raise DewyError("dewy does not see the program's output (--no-capture)")
    names = [str(each.generation) for each in workers]
    chosen = [each for each in workers if which in ("", str(each.generation))]
    _require(chosen, "generation", which, names, after)
    return [_generation(each, after, count) for each in chosen]


def _generation(worker: Worker, after: After, count: int) -> Part:
    name = f"generation {worker.generation}"
    position = after.get(name)
    lines, end = worker.lines_after(position or 0, count)
    missed = 0 if position is None else end - position - len(lines)
    return _part(name, [(each.at, each.text) for each in lines], end, missed)


async def _replicas(
    replica_set: ReplicaSet, which: str, after: After, count: int
) -> list[Part]:
    replicas = sorted(replica_set.deployer.store.replicas, key=lambda each: each.name)
    chosen = [each for each in replicas if not which or _is(each, which)]
    _require(chosen, "replica", which, [each.name for each in replicas], after)
    return list(
        await asyncio.gather(
            *(_replica(replica_set, each, after, count) for each in chosen)
        )
    )


async def _replica(
    replica_set: ReplicaSet, replica: Replica, after: After, count: int
) -> Part:
    position = after.get(replica.name, 0)
    engine = replica_set.deployer.store.engine
    try:
        found = await engine.written(replica.id, count, position)
    except EngineError as exc:
        return {**_part(replica.name, (), position, 0), "problem": summary(exc)}
    end = found[-1].at if found else position
    lines = [(each.at / NANOSECONDS, each.text) for each in found]
    return _part(replica.name, lines, end, 0)


def _is(replica: Replica, which: str) -> bool:
    if which.isdecimal() and len(which) < 6:
        from ..containers.application import index_of

        return index_of(replica.container.labels) == int(which)
    return which == replica.name or replica.id.startswith(which)


def _require(
    chosen: Sequence[object], kind: str, which: str, names: Iterable[str], after: After
) -> None:
    if chosen or after:
        return
    there = ", ".join(names)
    if which:
        raise DewyError(f"no {kind} {which} is here (there are: {there or 'none'})")
    raise DewyError(f"no {kind} is here")


def _part(
    source: str, lines: Sequence[tuple[float, str]], end: int, missed: int
) -> Part:
    return {
        "source": source,
        "lines": [line[:WIDEST] for _, line in lines],
        "next": end,
        "missed": missed,
        "times": [at for at, _ in lines],
    }


def _within(budget: int, parts: Sequence[Part]) -> list[Part]:
    """Return *parts* without the first lines of those that are too long together."""
    share = budget // max(len(parts), 1)
    for part in parts:
        lines, left = part["lines"], share
        keep = 0
        while keep < len(lines) and left >= len(lines[-1 - keep]):
            left -= len(lines[-1 - keep])
            keep += 1
        part["missed"] += len(lines) - keep
        for each in ("lines", "times"):
            part[each] = part[each][len(lines) - keep :]
    return list(parts)
