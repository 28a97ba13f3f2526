"""`GET /metrics`."""

from __future__ import annotations

from typing import Any

from dewy.admin.http import AdminAPI
from dewy.admin.metrics import answering
from tests.standins.browsing import get, send


async def status() -> dict[str, Any]:
    raise AssertionError("nobody asked")


async def text() -> bytes:
    return b"dewy_held 0.0\n"


async def test_figures_are_told(port: int) -> None:
    """As Prometheus asks for them, and to nobody else's pages."""
    routes = {"/metrics": answering(text, "text/plain; version=1.0.0")}
    async with AdminAPI(port, status, routes=routes) as api:
        asked = "GET /metrics HTTP/1.1\nHost: localhost\n\n"
        found, headers, body = await send(api.port, asked)
        foreign, _ = await get(api.port, "/metrics", "Host: evil.example")

    assert (200, "dewy_held 0.0\n") == (found, body)
    assert "text/plain; version=1.0.0" == headers["content-type"]
    assert 403 == foreign


async def test_without_telemetry_there_are_none(port: int) -> None:
    async with AdminAPI(port, status) as api:
        found, _ = await get(api.port, "/metrics")

    assert 404 == found
