"""
Metrics and traces of dewy, for Prometheus and for OTLP collectors.

Each part of dewy keeps its own counts, which are read when metrics are collected.
Metrics that are not requested therefore cost nothing.
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
    Return the telemetry that *settings* request, or None.

    Call it in a thread: the imports take a while.

    Raises:
        ImplementationUnavailable: the extra `telemetry` is not installed.
    """
    if not (settings.telemetry or settings.otlp_endpoint):
        return None
    try:
        from .opening import Telemetry

        if settings.otlp_endpoint:
            # In this order: the first silences grpcio, which the exporters import.
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
