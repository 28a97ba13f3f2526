"""Quarantine: versions that failed, and when each may be tried again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Self

from ..errors import DeploymentError, DewyError
from ..system import Clock
from .decode import listed, mapping, record

FIRST_DELAY = 60.0
LONGEST_DELAY = 3600.0
SPREAD = 0.2
FURTHEST = LONGEST_DELAY * (1 + SPREAD) + 1
"""Seconds; a deadline that is further away was set by a clock that ran ahead."""

EARLIER = "it failed before"
FORGOTTEN = 30 * 86400.0
"""Seconds for which a version has to be absent before its entry goes."""


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """
    Attributes:
        tag, identity: The version that failed; another identity under the same tag is
            free. "" where the bytes are not known: whatever has that tag is kept out.

        reason: The reason, in one line.

        failures: The number of failures in a row.

        at: The time of the last failure, seconds since the epoch.

        until: The time from which it may be tried again; None means not by itself.

        detail: A program's own last words, for those who may read them; or "".

        by: `operator` or `fleet`, whoever put it in; "" for dewy itself.

        absent_since: The time since which the registry has not listed it; None while it
            does.
    """

    tag: str
    identity: str
    reason: str
    failures: int
    at: float
    until: float | None
    detail: str = ""
    by: str = ""
    absent_since: float | None = None

    def is_about(self, tag: str, identity: str) -> bool:
        """Return whether the entry keeps out these bytes under this tag."""
        return self.tag == tag and self.identity in ("", identity)

    def blocks(self, now: float) -> bool:
        """Return whether the entry still keeps its version out at *now*."""
        return self.until is None or now < self.until <= now + FURTHEST

    @property
    def story(self) -> str:
        """The reason and the detail in one line: never for HTTP."""
        return ": ".join(filter(None, (self.reason, self.detail)))


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The entries, oldest first; immutable."""

    entries: tuple[QuarantineEntry, ...] = ()

    def __iter__(self) -> Iterator[QuarantineEntry]:
        return iter(self.entries)

    def find(self, tag: str, identity: str) -> QuarantineEntry | None:
        """Return the entry for these bytes under this tag."""
        return next((e for e in self.entries if e.is_about(tag, identity)), None)

    def blocking(self, tag: str, identity: str, now: float) -> QuarantineEntry | None:
        """Return the entry that keeps this version out at *now*, if any."""
        entry = self.find(tag, identity)
        return entry if entry and entry.blocks(now) else None

    def add(
        self,
        tag: str,
        identity: str,
        reason: str,
        clock: Clock,
        *,
        traffic: bool,
        detail: str = "",
        by: str = "",
    ) -> Self:
        """
        Return this quarantine after one more failure.

        *traffic*: the version had carried traffic, or an operator left it, so it does
        not come back by itself. *detail* and *by* are as in `QuarantineEntry`; what
        *reason* says is shown to every user of the host.
        """
        known = self.find(tag, identity)
        failures = known.failures + 1 if known else 1
        now = clock.wall()
        until = None if traffic else now + delay(failures, clock.jitter())
        entry = QuarantineEntry(tag, identity, reason, failures, now, until, detail, by)
        return replace(self, entries=(*self._others(tag, identity), entry))

    def release(self, tag: str) -> Self:
        """Return this quarantine without any entry for *tag*."""
        return replace(self, entries=tuple(e for e in self.entries if e.tag != tag))

    def succeeded(self, tag: str, identity: str) -> Self:
        """Return this quarantine after that version proved good."""
        return replace(self, entries=self._others(tag, identity))

    def moved(self, old: Self, new: Self) -> Self:
        """Return this quarantine after the change that leads from *old* to *new*."""
        kept = (e for e in self.entries if e in new.entries or e not in old.entries)
        come = (e for e in new.entries if e not in (*old.entries, *self.entries))
        return replace(self, entries=(*kept, *come))

    def eased(self, tag: str, identity: str, clock: Clock) -> Self:
        """
        Return this quarantine with that version's entry timed, as if it had carried no
        traffic.

        For the case that its successor fails, too, so that the cause lies elsewhere.
        Entries by an operator stay.
        """
        known = self.find(tag, identity)
        if known is None or known.until is not None or known.by:
            return self
        until = clock.wall() + delay(known.failures, clock.jitter())
        return self._with(replace(known, until=until))

    def seen(self, tags: Collection[str], complete: bool, now: float) -> Self:
        """
        Return this quarantine after the registry listed *tags*, all it has if
        *complete*.

        Timed entries of versions that it has not listed for `FORGOTTEN` are dropped;
        those of operators and those with traffic stay.
        """
        if not complete:
            return self
        looked = (_looked_for(entry, entry.tag in tags, now) for entry in self.entries)
        entries = tuple(entry for entry in looked if not _is_forgotten(entry, now))
        return self if entries == self.entries else replace(self, entries=entries)

    def clamped(self, now: float) -> Self:
        """
        Return this quarantine with every deadline that is impossibly late at *now* due.

        A clock that once ran ahead must not keep a version out for years.
        """
        return replace(self, entries=tuple(_clamp(e, now) for e in self.entries))

    def _with(self, entry: QuarantineEntry) -> Self:
        same = (entry.tag, entry.identity)
        return replace(
            self,
            entries=tuple(
                entry if (e.tag, e.identity) == same else e for e in self.entries
            ),
        )

    def _others(self, tag: str, identity: str) -> tuple[QuarantineEntry, ...]:
        return tuple(e for e in self.entries if not e.is_about(tag, identity))

    @classmethod
    def from_json(cls, data: object) -> Self:
        """
        Raises:
            ValueError: *data* is not an entry.
        """
        return cls(tuple(map(_entry, listed(mapping(data).get("entries", ())))))


def _entry(data: object) -> QuarantineEntry:
    found = record(QuarantineEntry, data)
    if "detail" in mapping(data) or found.until is None:
        return found
    # An older dewy had a program's words in the reason.
    return replace(found, reason=EARLIER, detail=found.reason)


def delay(failures: int, random: float) -> float:
    """Seconds until the next try; *random* from 0 to 1 spreads hosts apart."""
    steps = min(failures - 1, 10)
    base = min(FIRST_DELAY * 2.0**steps, LONGEST_DELAY)
    return base * (1 - SPREAD + 2 * SPREAD * random)


def _clamp(entry: QuarantineEntry, now: float) -> QuarantineEntry:
    if entry.until is None or entry.until <= now + FURTHEST:
        return entry
    return replace(entry, until=now)


def _looked_for(entry: QuarantineEntry, found: bool, now: float) -> QuarantineEntry:
    since = entry.absent_since
    if found or entry.until is None or entry.by:
        return replace(entry, absent_since=None)
    return replace(entry, absent_since=now if since is None else min(since, now))


def _is_forgotten(entry: QuarantineEntry, now: float) -> bool:
    return entry.absent_since is not None and now - entry.absent_since >= FORGOTTEN


NO_THREAD = "can't start new thread"


def is_verdict(exc: BaseException) -> bool:
    """
    Return whether *exc* says that the release is bad, so that it goes into quarantine.

    A full disk, a store or an engine that is down, and a lack of memory, processes or
    threads say nothing about the release: each poll tries the deployment again.
    """
    if isinstance(exc, DeploymentError):
        return not exc.host
    if isinstance(exc, RuntimeError) and str(exc) == NO_THREAD:
        return False
    return not isinstance(exc, DewyError | OSError | MemoryError)
