"""
The ends of replicas.

They are kept beyond containers: one that died is removed within moments, and with it
its exit status and whether it was killed for its use of memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..supervisor.processes import describe_exit
from .application import VERSION, index_of
from .model import Container

__all__ = ["REASONS", "Termination", "TerminationLog", "describe_end"]

REASONS = ("exit", "signal", "oom", "unknown")
KEPT = 1000  # replicas of versions whose ends are remembered
SIGNALS = range(129, 193)  # offset that engines, like shells, add to a signal's number


@dataclass(frozen=True, slots=True)
class Termination:
    """
    End of one run of a replica.

    Attributes:
        container: Name of the container.

        reason: Member of `REASONS`: ended by itself, by a signal, by the kernel for
            its use of memory; or not told by the engine.

        exit_code: Exit code as the engine tells it; None where it does not.

        finished_at: Time at which dewy learned of it, RFC 3339.
    """

    container: str
    version: str
    reason: str
    exit_code: int | None
    finished_at: str

    @classmethod
    def of(cls, container: Container, exit_code: int | None) -> Termination:
        """Return the end of *container*, as an inspection or an event showed it."""
        return cls(
            container.name,
            container.labels.get(VERSION, ""),
            _reason(exit_code, container.oom_killed),
            exit_code,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @property
    def how(self) -> str:
        """The end in a few words."""
        return describe_end(self.exit_code, self.reason == "oom")

    def as_json(self) -> dict[str, Any]:
        """Return it as the admin API shows it."""
        return {**asdict(self), "how": self.how}


class TerminationLog:
    """
    Deaths of an application's replicas since dewy started.

    Attributes:
        deaths: Number of deaths, by reason.
    """

    def __init__(self) -> None:
        self.deaths = Counter(dict.fromkeys(REASONS, 0))
        self._last: dict[int, Termination] = {}
        self._of: dict[tuple[int, str], tuple[int, Termination]] = {}

    def record(self, container: Container, exit_code: int | None) -> Termination:
        """Count the end of *container*."""
        found = Termination.of(container, exit_code)
        index = index_of(container.labels)
        times = self.restarts(index, found.version) + 1
        self.deaths[found.reason] += 1
        self._last[index] = found
        self._of.pop((index, found.version), None)
        self._of[index, found.version] = times, found
        while len(self._of) > KEPT:
            del self._of[next(iter(self._of))]
        return found

    def last(self, index: int, version: str = "") -> Termination | None:
        """
        Return the last end of a replica with that number: at *version*, where there was
        one.
        """
        _, own = self._of.get((index, version), (0, None))
        return own or self._last.get(index)

    def restarts(self, index: int, version: str) -> int:
        """Return how often the replica with that number ended at *version*."""
        count, _ = self._of.get((index, version), (0, None))
        return count


def describe_end(exit_code: int | None, oom_killed: bool = False) -> str:
    """Return `exit status 1`, or `exit status 137 (killed by SIGKILL)`."""
    how = "ended" if exit_code is None else f"exit status {exit_code}"
    if exit_code is not None and exit_code in SIGNALS:
        how += f" ({describe_exit(128 - exit_code)})"
    return f"{how}, killed for its use of memory" if oom_killed else how


def _reason(exit_code: int | None, oom_killed: bool) -> str:
    if oom_killed:
        return "oom"
    if exit_code is None:
        return "unknown"
    return "signal" if exit_code in SIGNALS else "exit"
