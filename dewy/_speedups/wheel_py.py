"""Many coarse deadlines, each cheap to set, to move and to forget."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Wheel"]

T = TypeVar("T")


class Wheel(Generic[T]):
    """
    Things by the time they are due.

    Args:
        tick: Seconds; nothing is due more than one of these late.
    """

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, set[T]] = {}
        self._slot_of: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def put(self, thing: T, due: float) -> None:
        """*thing* is due at *due*, whatever was said of it before."""
        self.drop(thing)
        slot = int(due / self.tick) + 1
        self._slots.setdefault(slot, set()).add(thing)
        self._slot_of[thing] = slot

    def drop(self, thing: T) -> None:
        """*thing* is not due at all."""
        slot = self._slot_of.pop(thing, None)
        if slot is not None:
            self._slots[slot].discard(thing)

    def take(self, now: float) -> list[T]:
        """What is due by *now*; it is in the wheel no longer."""
        passed = [slot for slot in self._slots if slot * self.tick <= now]
        things = [thing for slot in passed for thing in self._slots.pop(slot)]
        for thing in things:
            del self._slot_of[thing]
        return things
