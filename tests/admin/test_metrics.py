"""`GET /metrics`."""

from __future__ import annotations

import asyncio
from typing import Any

from dewy.admin.http import AdminAPI, answering


async def status() -> dict[str, Any]:
    raise AssertionError("nobody asked")


async def text() -> bytes:
    return b"dewy_held 0.0\n"


async def ask(port: int, host: str = "localhost") -> tuple[int, str, str]:
    """Status, head and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(30):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), head, body


async def test_figures_are_told(unused_tcp_port: int) -> None:
    """As Prometheus asks for them, and to nobody else's pages."""
    routes = {"/metrics": answering(text, "text/plain; version=1.0.0")}
    async with AdminAPI(unused_tcp_port, status, routes=routes) as api:
        found, head, body = await ask(api.port)
        foreign, _, _ = await ask(api.port, "evil.example")

    assert (200, "dewy_held 0.0\n") == (found, body)
    assert "text/plain; version=1.0.0" in head
    assert 403 == foreign


async def test_without_telemetry_there_are_none(unused_tcp_port: int) -> None:
    async with AdminAPI(unused_tcp_port, status) as api:
        found, _, _ = await ask(api.port)

    assert 404 == found
