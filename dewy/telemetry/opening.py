"""Active telemetry: its sources and its receivers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from .. import __version__
from ..config import Settings
from ..errors import ConfigError
from ..logs import readable, redactor, summary
from ..system import hostname
from .exposition import CONTENT_TYPE, Exposition
from .model import Model
from .points import MetricSource, collected
from .spans import Course, Spans

if TYPE_CHECKING:
    from .push import Pusher

__all__ = ["Telemetry"]


class Telemetry:
    """
    Telemetry of a dewy, for scrapers and collectors, while entered.

    Args:
        endpoint: `HOST:PORT` of an OTLP collector to push to, or "".

        insecure: Whether to push without TLS.

        instance: Name that tells this dewy from others on the host.
    """

    content_type = CONTENT_TYPE

    def __init__(
        self, endpoint: str = "", *, insecure: bool = False, instance: str = ""
    ) -> None:
        resource = Resource(
            {
                "service.name": "dewy",
                "service.version": __version__,
                "service.instance.id": f"{hostname()}:{instance}",
                "host.name": hostname(),
            }
        )
        self._endpoint = endpoint
        self._insecure = insecure
        self._model = Model(resource)
        self._exposition = Exposition()
        self._spans = Spans(resource)
        self._sources: list[MetricSource] = []
        self._stack = AsyncExitStack()
        self._pusher: Pusher | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create telemetry from *settings*."""
        return cls(
            settings.otlp_endpoint,
            insecure=settings.otlp_insecure,
            instance=settings.name or readable(settings.root),
        )

    async def __aenter__(self) -> Self:
        if self._endpoint:
            # quiet first: grpcio comes with the other one.
            from ..remotes.grpc import quiet
            from . import push

            quiet.begin()
            try:
                pusher = await asyncio.to_thread(
                    push.Pusher,
                    self._endpoint,
                    insecure=self._insecure,
                    figures=self._figures,
                    spans=self._spans,
                    interval=push.INTERVAL,
                    first=push.FIRST,
                )
            except (OSError, ValueError, RuntimeError) as exc:
                raise ConfigError(f"--otlp-endpoint: {summary(exc)}") from exc
            self._pusher = await self._stack.enter_async_context(pusher)
        return self

    def leave(self, *, hurry: bool = False) -> None:
        """
        Begin the last delivery, if there is a collector; idempotent.

        In a *hurry* only a collector that took the last one is waited for.
        """
        if self._pusher is not None:
            self._pusher.leave(hurry=hurry)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def watch(self, sources: Iterable[MetricSource]) -> None:
        """Add *sources* from now on."""
        self._sources.extend(sources)

    def deployed(self, course: Course) -> None:
        """
        Make a trace of a deployment that is over, if traces are pushed.

        Its reason leaves this host: secrets that logs strike out are struck out of it,
        too.
        """
        if self._endpoint:
            reason = redactor(os.environ)(course.reason)
            self._spans.add(replace(course, reason=reason))

    async def text(self) -> bytes:
        """Return all figures in Prometheus' format."""
        return self._exposition.text(await self._figures())

    async def _figures(self) -> MetricsData:
        return self._model.made(await collected(self._sources))
