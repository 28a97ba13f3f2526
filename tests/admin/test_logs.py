"""What programs wrote, as the control socket tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dewy.admin.logs import BUDGET, logs
from dewy.errors import DewyError, EngineError
from dewy.supervisor.output import LogTail, TailLine
from tests.standins.crews import benched


@dataclass(eq=False)
class Writer:
    """What there is of a worker."""

    generation: int
    tail: LogTail

    def lines_after(
        self, position: int, count: int
    ) -> tuple[tuple[TailLine, ...], int]:
        return self.tail.after(position, count)


def program(*tails: LogTail, captures: bool = True) -> Any:
    """Generations, from 1, that wrote *tails*."""
    workers = {Writer(n, tail): "serving" for n, tail in enumerate(tails, 1)}
    return SimpleNamespace(workers=workers, captures=captures)


def wrote(*lines: str) -> LogTail:
    tail = LogTail(clock=lambda: 1000.5)
    tail.add("out", "".join(f"{line}\n" for line in lines).encode())
    return tail


async def ask(program: Any, **args: Any) -> list[dict[str, Any]]:
    found = (await logs("server", program, None, args))["sources"]
    assert isinstance(found, list)
    return found


async def test_every_generation_tells_its_last_lines() -> None:
    first, second = await ask(program(wrote("a", "b", "c"), wrote("d")), lines=2)

    times = [1000.5, 1000.5]
    assert ("generation 1", ["b", "c"], 3, 0, times) == tuple(first.values())
    assert ("generation 2", ["d"], 1, 0, [1000.5]) == tuple(second.values())


async def test_reading_goes_on_after_a_position() -> None:
    """What was lost in between is counted; a new generation is told from its start."""
    tail = wrote(*map(str, range(300)))
    first, second = await ask(
        program(tail, wrote("new")), lines=1000, after={"generation 1": 50}
    )

    assert (50, "100", 300) == (first["missed"], first["lines"][0], first["next"])
    assert ["new"] == second["lines"]


async def test_generation_argument_limits_logs_to_that_generation() -> None:
    both = program(wrote("a"), wrote("b"))

    assert ["generation 2"] == [
        each["source"] for each in await ask(both, generation="2")
    ]
    with pytest.raises(DewyError, match=r"no generation 7 is here \(there are: 1, 2\)"):
        await ask(both, generation="7")
    assert [] == await ask(both, generation="7", after={"generation 7": 1})


async def test_replica_logs_of_program_are_refused() -> None:
    """Programs have no replicas, as containers have no generations."""
    with pytest.raises(DewyError, match="no replicas; say --generation"):
        await ask(program(wrote("a")), replica="1")


async def test_logs_without_captured_output_raise_error_with_reason() -> None:
    with pytest.raises(DewyError, match="--no-capture"):
        await ask(program(wrote("a"), captures=False))
    with pytest.raises(DewyError, match="no generation is here"):
        await ask(program())
    with pytest.raises(DewyError, match="dewy assets runs no program"):
        await logs("assets", None, None, {})


async def test_answer_is_bounded() -> None:
    """The last lines are what is kept, however many sources there are."""
    long = "x" * 4096
    parts = await ask(program(*[wrote(*[long] * 200)] * 5), lines=200)

    assert BUDGET >= sum(len("".join(part["lines"])) for part in parts)
    assert all(part["lines"] and part["missed"] for part in parts)


async def test_replica_logs_are_read_from_engine(tmp_path: Path) -> None:
    async with benched(tmp_path, replicas=2) as bench:
        await bench.deploy(bench.publish("v1"))
        replicas = sorted(
            bench.replica_set.deployer.store.replicas, key=lambda r: r.name
        )
        for held in bench.host.held.values():
            held.output[:] = ["one", "two"]

        async def ask(**args: Any) -> list[dict[str, Any]]:
            answer = await logs("container", None, bench.replica_set, args)
            return list(answer["sources"])

        names = [each.name for each in replicas]
        assert names == [part["source"] for part in await ask()]
        assert [["two"]] * 2 == [part["lines"] for part in await ask(lines=1)]
        (part,) = await ask(replica="1")
        assert names[1] == part["source"]
        (part,) = await ask(replica=replicas[0].id[:12])
        assert names[0] == part["source"]
        bench.host.held[replicas[0].id].output.append("three")
        parts = await ask(after=dict.fromkeys(names, 2))
        assert [["three"], []] == [part["lines"] for part in parts]
        with pytest.raises(DewyError, match="no replica 7 is here"):
            await ask(replica="7")


async def test_engine_that_does_not_tell_is_no_end(tmp_path: Path) -> None:
    """Whoever follows stays where they were."""
    async with benched(tmp_path, replicas=1) as bench:
        await bench.deploy(bench.publish("v1"))

        async def broken(phase: str, call: str, subject: str) -> None:
            if call == "logs":
                raise EngineError("the engine is away")

        bench.host.hook = broken
        name = bench.replica_set.deployer.store.replicas[0].name
        answer = await logs("container", None, bench.replica_set, {"after": {name: 4}})

    (part,) = answer["sources"]
    assert ("the engine is away", 4) == (part["problem"], part["next"])
