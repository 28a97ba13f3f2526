"""
Versions that failed, and when each may be tried again.

A version that failed before it carried traffic is tried again after 1, 2, 4 …
60 minutes, give or take a fifth. One that failed with traffic on it stays out
until its bytes change or an operator says `dewy retry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from ..system import Clock

FIRST_DELAY = 60.0
LONGEST_DELAY = 3600.0
SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """
    Attributes:
        tag, identity: What failed; another identity under the same tag is free.

        reason: Why, in one line.

        failures: How often in a row.

        at: When it failed last, seconds since the epoch.

        until: When it may be tried again; None means not by itself.
    """

    tag: str
    identity: str
    reason: str
    failures: int
    at: float
    until: float | None

    def blocks(self, now: float) -> bool:
        """Whether it still keeps its version out at *now*."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The entries, oldest first; immutable."""

    entries: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def find(self, tag: str, identity: str) -> Entry | None:
        """The entry for exactly these bytes under this tag."""
        return next(
            (e for e in self.entries if (e.tag, e.identity) == (tag, identity)), None
        )

    def blocking(self, tag: str, identity: str, now: float) -> Entry | None:
        """The entry that keeps this version out at *now*, if any."""
        entry = self.find(tag, identity)
        return entry if entry and entry.blocks(now) else None

    def add(
        self, tag: str, identity: str, reason: str, clock: Clock, *, traffic: bool
    ) -> Self:
        """
        This quarantine after one more failure.

        *traffic* tells that the version had carried some, or that an operator
        left it: it does not come back by itself.
        """
        known = self.find(tag, identity)
        failures = known.failures + 1 if known else 1
        now = clock.wall()
        until = None if traffic else now + delay(failures, clock.jitter())
        entry = Entry(tag, identity, reason, failures, now, until)
        return replace(self, entries=(*self._others(tag, identity), entry))

    def release(self, tag: str) -> Self:
        """This quarantine without any entry for *tag*."""
        return replace(self, entries=tuple(e for e in self.entries if e.tag != tag))

    def succeeded(self, tag: str, identity: str) -> Self:
        """This quarantine after that version proved good."""
        return replace(self, entries=self._others(tag, identity))

    def moved(self, old: Self, new: Self) -> Self:
        """This quarantine after the change that leads from *old* to *new*."""
        kept = (e for e in self.entries if e in new.entries or e not in old.entries)
        come = (e for e in new.entries if e not in (*old.entries, *self.entries))
        return replace(self, entries=(*kept, *come))

    def clamped(self, now: float) -> Self:
        """
        This quarantine with no deadline further away than any could be.

        A clock that once ran ahead must not keep a version out for years.
        """
        furthest = now + LONGEST_DELAY * (1 + SPREAD)
        return replace(self, entries=tuple(_clamp(e, furthest) for e in self.entries))

    def _others(self, tag: str, identity: str) -> tuple[Entry, ...]:
        return tuple(e for e in self.entries if (e.tag, e.identity) != (tag, identity))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        names = Entry.__dataclass_fields__
        entries: Iterable[dict[str, Any]] = data["entries"]
        return cls(
            tuple(Entry(**{k: v for k, v in e.items() if k in names}) for e in entries)
        )


def delay(failures: int, random: float) -> float:
    """Seconds until the next try; *random* from 0 to 1 spreads hosts apart."""
    steps = min(failures - 1, 10)
    base = min(FIRST_DELAY * 2.0**steps, LONGEST_DELAY)
    return base * (1 - SPREAD + 2 * SPREAD * random)


def _clamp(entry: Entry, furthest: float) -> Entry:
    if entry.until is None or entry.until <= furthest:
        return entry
    return replace(entry, until=furthest)
