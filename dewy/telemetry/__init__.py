"""
Metrics and traces of dewy, for Prometheus and for OTLP collectors.

Nothing is pushed as it happens: each part counts by itself, and is asked when figures
are collected. Figures that are not requested therefore cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..config import Settings
from ..errors import ImplementationUnavailable, install_hint

if TYPE_CHECKING:
    from .opening import Telemetry

__all__ = [
    "load",
]


def load(settings: Settings) -> Telemetry | None:
    """
    Return the requested telemetry, or None. This takes a while: not for the loop.

    Raises:
        ImplementationUnavailable: the extra `telemetry` is not installed.
    """
    if not (settings.telemetry or settings.otlp_endpoint):
        return None
    try:
        from .opening import Telemetry

        if settings.otlp_endpoint:
            # grpcio comes with the exporters, and is to be quiet from the start.
            for name in ("dewy.remotes.grpc", "dewy.telemetry.push"):
                import_module(name)
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("dewy."):
            raise
        option = "--otlp-endpoint" if settings.otlp_endpoint else "--telemetry"
        raise ImplementationUnavailable(
            f"{option} needs {exc.name}; {install_hint('telemetry')}"
        ) from exc
    return Telemetry.of(settings)
