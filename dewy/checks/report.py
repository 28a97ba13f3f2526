"""Examination of a root before dewy starts in it, or while it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..admin import offline, operate, preview
from ..config import Settings
from ..errors import ConfigError, DewyError
from ..logs import summary
from ..proxy.proxy import caution, thread_count
from .endpoints import (
    constructor_findings,
    engine_findings,
    mistake,
    notifier_findings,
    option_findings,
    port_findings,
    proxy_findings,
)
from .finding import Finding, Level, exit_status
from .host import (
    host_findings,
    program_findings,
    readiness_findings,
    root_findings,
    unit_findings,
)

__all__ = ["Report", "examine_host"]


@dataclass(frozen=True, slots=True)
class Report:
    """
    The result of an examination.

    Attributes:
        found: The release, as `preview` has it; None if the registry was not asked.

        findings: In the order in which the command would meet them.
    """

    found: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Exit status: 2, 1 or 0."""
        missing = self.found is not None and "error" in self.found
        return max(exit_status(self.findings), int(missing))

    def add(self, *findings: Finding) -> None:
        """Keep each of *findings* that is not known already."""
        self.findings.extend(each for each in findings if each not in self.findings)


async def examine_host(
    settings: Settings,
    mistakes: Sequence[ConfigError] = (),
    *,
    mode: str = "",
    offline: bool = False,
    host: bool = False,
    test_notifiers: bool = False,
) -> Report:
    """
    Check *settings* here as *mode* would; starts and writes nothing.

    Args:
        mistakes: The mistakes made in reading the configuration.

        mode: `server`, `assets`, `container`, `proxy`, or "" to check only the options
            that all of them share.

        offline: True to ask neither the registry nor the cache.

        host: The clock and descriptors are looked at, too.

        test_notifiers: True to send a test notice through each notifier.
    """
    report = Report()
    report.add(*map(mistake, mistakes))
    report.add(*(Finding(Level.ATTENTION, "option", c) for c in settings.cautions))
    running = await _running(settings)
    if settings.registry:
        async for finding in constructor_findings(settings, dict(os.environ)):
            report.add(finding)
    async for finding in _of_mode(settings, mode, running):
        report.add(finding)
    report.add(*await asyncio.to_thread(_on_this_host, settings, mode))
    if settings.command == "server" and not mistakes:
        # A health path that cannot be read is none in the settings.
        notifies = await asyncio.to_thread(_notifies, settings)
        report.add(*readiness_findings(settings, notifies=notifies))
    if host:
        report.add(*await asyncio.to_thread(host_findings, running))
    found = await _ask(report, settings, offline)
    if test_notifiers:
        async for finding in notifier_findings(settings):
            if finding not in report.findings or finding.level is not Level.MISTAKE:
                report.findings.append(finding)
    return replace(report, found=found)


async def _running(settings: Settings) -> int:
    """Return the pid of the dewy that runs in the root; 0 where there is none."""
    try:
        return int((await operate.look(settings))["pid"] or 0)
    except (DewyError, OSError):
        return 0


async def _of_mode(
    settings: Settings, mode: str, running: int
) -> AsyncIterator[Finding]:
    if settings.images:
        async for finding in option_findings(settings):
            yield finding
    if mode == "container" and settings.images:
        async for finding in engine_findings(settings, running):
            yield finding
    async for finding in port_findings(settings, running):
        yield finding
    if settings.command == "proxy":
        async for finding in proxy_findings(settings):
            yield finding


def _on_this_host(settings: Settings, mode: str) -> list[Finding]:
    found = list(root_findings(settings))
    threads = thread_count(settings.proxy_threads)
    relays = settings.command in ("container", "proxy")
    if relays and (text := caution(settings.max_connections, threads)):
        found.append(Finding(Level.ATTENTION, "descriptors", text))
    if settings.command == "server":
        # Without the command's name nobody said that this is a program.
        level = Level.FAILURE if mode else Level.ATTENTION
        found += program_findings(settings, level)
    return [*found, *unit_findings(settings)]


def _notifies(settings: Settings) -> bool:
    """Return whether a program of the root ever sent READY=1, as far as is known."""
    with suppress(DewyError, OSError):
        return offline.state_of(settings).notifies
    return False


async def _ask(
    report: Report, settings: Settings, offline: bool
) -> dict[str, Any] | None:
    """Return the release, as `preview` has it; add what keeps it from being asked."""
    try:
        if not offline and settings.registry:
            return await preview.preview(settings)
        await preview.known(settings)
    except ConfigError as exc:
        report.add(mistake(exc))
    except (DewyError, OSError) as exc:
        report.add(Finding(Level.FAILURE, "root", summary(exc)))
    return None
