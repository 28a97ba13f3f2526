"""Options and readiness checks that worked last, by which replicas are healed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .container_spec import ContainerSpec
from .health import HealthCheck
from .launcher import ReadinessProbe

__all__ = ["Proven"]


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
