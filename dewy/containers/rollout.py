"""
Decisions on the replicas of an application (pure).

The first deployment, a rolling update, replacing a replica that died, adopting
what an earlier dewy left, finishing what a `kill -9` cut short, other options,
more or fewer replicas, going back: all are this one function with other inputs.

It never lets a replica leave before as many of the wanted kind serve as there
are to be, and a second call with what the first led to does nothing.

A rollout and the healing of what runs go on side by side. Each has a desired state
of its own and sees its own replicas only: a rollout those of its target, healing
all the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Desired", "Observed", "Phase", "Plan", "reconcile"]


class Phase(IntEnum):
    """Progress of a replica; of two, the one in the later phase is kept."""

    GONE = 0  # created and never started, exited, or dead
    LEAVING = 1  # out of the table, draining or stopped on request
    PAUSED = 2  # frozen by request; keeps its place until it goes on, but in no rollout
    UNCHECKED = 3  # running; its readiness is not known
    STARTING = 4  # being waited for until it is ready
    READY = 5  # ready, and not in the table yet
    SERVING = 6  # in the table


@dataclass(frozen=True, slots=True)
class Observed:
    """
    Replica as observed.

    Attributes:
        id: Id of its container.

        index: Place, from 0; -1 where unknown.

        spec: Fingerprint of its specification; replicas with equal ones are equal.

        phase: Progress of the replica.
    """

    id: str
    index: int
    spec: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Desired:
    """
    Desired state of the replicas.

    Attributes:
        spec: Fingerprint of the specification that replicas are to have.

        replicas: Number of replicas, at least one.

        parallel: Number that may start at a time, while enough others serve.

        beside: Whether this is a rollout, which comes up beside the others: they are
            not its concern, and how many of them serve does not matter.

        apart: Fingerprint of a rollout under way, whose replicas are left alone.
    """

    spec: str
    replicas: int
    parallel: int = 1
    beside: bool = False
    apart: str | None = None

    def concerns(self, replica: Observed) -> bool:
        """Return whether *replica* is to be decided on."""
        if self.beside:
            return replica.spec == self.spec
        return replica.spec != self.apart


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Next actions, all of which may be taken at once.

    Attributes:
        remove: Containers that are of no use any more.

        check: Running replicas to wait for until they are ready.

        admit: Ready replicas that enter the table.

        start: Places for which a new replica is to be started.

        leave: Replicas that leave the table in one swap, and drain; only once
            `complete`.

        complete: Whether all wanted replicas serve.
    """

    remove: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    admit: tuple[str, ...] = ()
    start: tuple[int, ...] = ()
    leave: tuple[str, ...] = ()
    complete: bool = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, except perhaps to wait."""
        return not (self.remove or self.check or self.admit or self.start or self.leave)


def reconcile(seen: Collection[Observed], desired: Desired) -> Plan:
    """Return the actions that bring *seen* nearer to *desired*."""
    seen = [replica for replica in seen if desired.concerns(replica)]
    places = _places(seen, desired)
    kept = {replica.id for replica in places.values()}
    complete = len(places) == desired.replicas and all(
        replica.phase is Phase.SERVING for replica in places.values()
    )
    return Plan(
        remove=_ids(seen, Phase.GONE),
        check=_ids(places.values(), Phase.UNCHECKED),
        admit=_ids(places.values(), Phase.READY),
        start=_missing(places, seen, desired),
        leave=_superfluous(seen, kept) if complete else (),
        complete=complete,
    )


def _places(seen: Iterable[Observed], desired: Desired) -> dict[int, Observed]:
    """
    Assign replicas of the right specification to places, the most advanced first.

    A replica keeps its place where it can; the others fill the places that are left.
    """
    # A rollout could wait for ever for a replica that somebody froze.
    useless = Phase.PAUSED if desired.beside else Phase.LEAVING
    alike = [
        replica
        for replica in seen
        if replica.spec == desired.spec and replica.phase > useless
    ]
    alike.sort(key=lambda replica: (-replica.phase, replica.index, replica.id))
    chosen = alike[: desired.replicas]
    places: dict[int, Observed] = {}
    homeless = []
    for replica in chosen:
        if 0 <= replica.index < desired.replicas and replica.index not in places:
            places[replica.index] = replica
        else:
            homeless.append(replica)
    free = (place for place in range(desired.replicas) if place not in places)
    return places | dict(zip(free, homeless, strict=False))


def _missing(
    places: dict[int, Observed], seen: Iterable[Observed], desired: Desired
) -> tuple[int, ...]:
    """Return the empty places for which a replica may be started now."""
    pending = (Phase.UNCHECKED, Phase.STARTING)
    under_way = sum(replica.phase in pending for replica in places.values())
    empty = [place for place in range(desired.replicas) if place not in places]
    room = _at_once(seen, desired) - under_way
    return tuple(empty[: max(room, 0)])


def _at_once(seen: Iterable[Observed], desired: Desired) -> int:
    """
    Return how many may start at a time: places that no replica serves do not wait.
    """
    if desired.beside:
        return desired.parallel
    serving = sum(replica.phase is Phase.SERVING for replica in seen)
    return max(desired.parallel, desired.replicas - serving)


def _superfluous(seen: Iterable[Observed], kept: Collection[str]) -> tuple[str, ...]:
    return tuple(
        replica.id
        for replica in seen
        if replica.phase > Phase.LEAVING and replica.id not in kept
    )


def _ids(seen: Iterable[Observed], phase: Phase) -> tuple[str, ...]:
    return tuple(replica.id for replica in seen if replica.phase is phase)
