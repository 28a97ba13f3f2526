"""The time and the specification of the next start, after deaths and failures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ..supervisor.backoff import LASTING, Backoff
from .container_spec import ContainerSpec
from .health import HealthCheck
from .launcher import ReadinessProbe

__all__ = [
    "Pacing",
    "Proven",
]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Pacing:
    """
    Delay between starts that grows with deaths and failures; only starts are held.

    Deaths count as those of a supervised program do; failures to start double the
    pause, until all replicas serve.
    """

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._counted = 0.0  # time of the last death, by the loop's clock
        self._failures = 0
        self._after_death = self._after_failure = 0.0

    def __repr__(self) -> str:
        return f"<Pacing: {self.left:.1f} s, {self._failures} failures>"

    @property
    def left(self) -> float:
        """Seconds until the next start may be made."""
        until = max(self._after_death, self._after_failure)
        return max(0.0, until - asyncio.get_running_loop().time())

    @property
    def row(self) -> int:
        """Deaths in a row; 0 once what was started after them has lasted."""
        lasted = asyncio.get_running_loop().time() - self._after_death >= LASTING
        return 0 if lasted else self._backoff.deaths

    def died(self, since: float) -> None:
        """
        Count the death of a replica that ran *since*; simultaneous deaths are one.
        """
        now = asyncio.get_running_loop().time()
        # The loop's clock stands still within one turn: what follows a death may have
        # begun at that very time.
        if since < self._counted:
            return
        self._counted = now
        self._backoff = self._backoff.died(now - since)
        self._after_death = now + self._backoff.delay

    def failed(self) -> None:
        """Count a failure to start; failures of one attempt are one."""
        now = asyncio.get_running_loop().time()
        if now < self._after_failure:
            return
        pause = FIRST_PAUSE * 2.0 ** min(self._failures, 16)
        self._failures += 1
        self._after_failure = now + min(pause, LONGEST_PAUSE)

    def succeeded(self) -> None:
        """Note that all replicas serve: the next failure is the first again."""
        self._failures = 0

    def relent(self) -> None:
        """Allow a start at once, for the cause of the failures may be over."""
        self._failures, self._after_failure = 0, 0.0

    def reset(self) -> None:
        """Forget the past, which says nothing about the other version started now."""
        self.relent()
        self._backoff, self._after_death = Backoff(), 0.0


@dataclass(slots=True)
class Proven:
    """
    Specification and readiness probe that worked last.

    The newest ones of the same version may not work: while replicas are missing, what
    worked last goes first. Where both fail, they take turns.

    Attributes:
        spec: Specification by which all replicas served; None before that.

        probe: Readiness probe that replicas passed; None before that.
    """

    spec: ContainerSpec | None = None
    probe: ReadinessProbe | None = None
    _failed_spec: str = ""
    _failed_probe: ReadinessProbe | None = None

    def spec_for(self, newest: ContainerSpec, *, missing: bool) -> ContainerSpec:
        """Return the specification to heal by, while replicas are *missing* or not."""
        spec = self.spec
        if spec is None or spec.spec == newest.spec:
            return newest
        if spec.version.identity != newest.version.identity:
            return newest
        return spec if missing and self._failed_spec != spec.spec else newest

    def probe_for(self, newest: ReadinessProbe, *, missing: bool) -> ReadinessProbe:
        """Return the probe to heal by, while replicas are *missing* or not."""
        if self.probe is None or not missing:
            return newest
        lenient = self.probe.or_easier(newest)
        return newest if self._failed_probe == lenient else lenient

    def worked(self, spec: ContainerSpec) -> None:
        """Note that all replicas of *spec* serve."""
        self.spec, self._failed_spec, self._failed_probe = spec, "", None

    def admitted(self, probe: ReadinessProbe) -> None:
        """Note that replicas entered the table by *probe*."""
        self.probe = probe

    def failed(self, spec: ContainerSpec, probe: ReadinessProbe) -> bool:
        """Note that replicas failed; return whether that is new."""
        known = self._failed_spec, self._failed_probe
        self._failed_spec, self._failed_probe = spec.spec, probe
        return known != (spec.spec, probe)

    def answered(self, check: HealthCheck, newest: ReadinessProbe) -> None:
        """Note that a serving replica passed *check*, which says nothing of starts."""
        self.probe = replace(self.probe or newest, check=check)

    def passed(self, check: HealthCheck) -> bool:
        """Return whether *check* is the one that was passed last."""
        return self.probe is not None and self.probe.check == check

    def ready(self, used: ReadinessProbe, newest: ReadinessProbe, took: float) -> None:
        """
        Note that a replica started, and passed *used* after *took* seconds.

        Where *newest* would have let it in, too, that has worked.
        """
        in_time = took <= newest.timeout + used.min_healthy
        alike = used.check == newest.check and used.min_healthy >= newest.min_healthy
        self.probe = newest if in_time and alike else used
