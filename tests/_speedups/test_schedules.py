"""Random lives of connections come out the same on every twin: as they should."""

from __future__ import annotations

from collections import Counter

import pytest

from tests._speedups.schedules import Life, schedule
from tests.standins.plane import Origin, Plane, soon


def lives(plane: Plane, origin: Origin, count: int) -> None:
    """
    *count* connections, each with a schedule of its own.

    Without a reset every byte arrives and is counted, and both streams end. With
    one, the other end sees a reset and a prefix, and it is counted as what it is.
    """
    gate = plane.listen(origin)
    resets = [0, 0]
    moved = [0, 0]
    exact = True
    for seed in range(count):
        life = Life(gate.connect(), origin.accept(), seed)
        life.play(schedule(seed))
        for sender, receiver in (life.ends, life.ends[::-1]):
            assert sender.sent.startswith(receiver.received), f"schedule {seed}"
        if life.resetter is None:
            sent = [end.sent for end in life.ends]
            assert sent == [end.received for end in life.ends[::-1]], f"schedule {seed}"
            assert ["end", "end"] == [end.how for end in life.ends], f"schedule {seed}"
            moved = [total + len(more) for total, more in zip(moved, sent, strict=True)]
        else:
            resets[life.resetter] += 1
            exact = False
    soon(lambda: not gate.stats().active)

    stats = gate.stats()
    errors = {name: n for name, n in stats.errors._asdict().items() if n}
    # A backend that was quick to reset counts as one that never took the connection.
    early = errors.pop("unanswered", 0)
    assert early == errors.pop("refused", 0) == gate.of().failures
    resets[1] -= early
    causes = dict(zip(("reset_by_client", "reset_by_backend"), resets, strict=True))
    assert {name: n for name, n in causes.items() if n} == errors
    assert (count, 0) == (stats.accepted, stats.retries)
    assert count == gate.of().total
    assert all(
        done >= least if not exact else done == least
        for done, least in zip(stats[2:4], moved, strict=True)
    )


def test_random_schedules(plane: Plane, origin: Origin) -> None:
    """Segment sizes, pauses, stalls, half-closes and resets."""
    lives(plane, origin, 300)


@pytest.mark.soak
def test_many_random_schedules(plane: Plane, origin: Origin) -> None:
    """Ten thousand."""
    lives(plane, origin, 10_000)


def test_generated_schedules_cover_all_actions_and_resets() -> None:
    """Each kind of end comes up often; else this would test little."""
    found = [schedule(seed) for seed in range(300)]
    resets = sum(steps[-1].action == "reset" for steps in found)

    assert 50 < resets < 250
    done = Counter(step.action for steps in found for step in steps)
    assert all(done[name] > 100 for name in ("send", "pause", "stall", "finish"))
