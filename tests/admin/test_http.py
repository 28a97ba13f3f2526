"""The local HTTP API."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from dewy.admin.http import PORTS_TRIED, AdminAPI, is_local, status_answer
from dewy.admin.status import Process, status
from dewy.deploy.state import State
from dewy.errors import DewyError


@pytest.fixture
def snapshot(state: State) -> dict[str, Any]:
    generation = {"generation": 1, "pid": 8, "state": "ready", "since": 1, "status": ""}
    return status(
        state,
        1000.0,
        name="app",
        command="server",
        root="/srv/app",
        process=Process(7, generations=[generation]),
    )


def telling(snapshot: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def tell() -> dict[str, Any]:
        return snapshot

    return tell


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago, with others above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return min(found, 65535 - PORTS_TRIED)


async def send(port: int, request: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to *request*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.replace("\n", "\r\n").encode())
        async with asyncio.timeout(30):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


async def get(port: int, path: str, *headers: str) -> tuple[int, Any]:
    host = () if any(h.startswith("Host") for h in headers) else ("Host: localhost",)
    lines = "\n".join([f"GET {path} HTTP/1.1", *host, *headers])
    found, _, body = await send(port, lines + "\n\n")
    return found, json.loads(body) if found == 200 else body


async def test_status_is_told(port: int, snapshot: dict[str, Any]) -> None:
    """With the keys of the original beside those of `dewy status`."""
    async with AdminAPI(port, telling(snapshot)) as api:
        code, found = await get(api.port, "/api/status")

    assert 200 == code
    assert {
        "command": 0,
        "current_version": "v2",
        "is_running": True,
        "name": "app",
        "proxy_backends": 0,
    }.items() <= found.items()
    assert snapshot["quarantine"] == found["quarantine"]
    assert "server" == found["mode"]


async def test_containers_are_none(port: int, snapshot: dict[str, Any]) -> None:
    """As outside of container mode they always were."""
    async with AdminAPI(port, telling(snapshot)) as api:
        assert (200, {"containers": None}) == await get(api.port, "/api/containers")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_only_looking_is_served(
    port: int, snapshot: dict[str, Any], method: str
) -> None:
    """Changing anything goes through the control socket."""
    request = f"{method} /api/status HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n"
    async with AdminAPI(port, telling(snapshot)) as api:
        code, headers, _ = await send(api.port, request)

    assert 405 == code
    assert "close" == headers["connection"]


async def test_unknown_path_is_not_found(port: int, snapshot: dict[str, Any]) -> None:
    """And the connection ends, as always."""
    async with AdminAPI(port, telling(snapshot)) as api:
        assert 404 == (await get(api.port, "/api/other"))[0]


@pytest.mark.parametrize(
    "header",
    [
        "Host: evil.example",
        "Host: localhost.evil.example",
        "Origin: https://evil.example",
        "Origin: null",
    ],
)
async def test_pages_from_elsewhere_are_refused(
    port: int, snapshot: dict[str, Any], header: str
) -> None:
    """A browser on this host reaches loopback for whatever page it shows."""
    async with AdminAPI(port, telling(snapshot)) as api:
        code, body = await get(api.port, "/api/status", header)

    assert 403 == code
    assert "v2" not in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LOCALHOST:17539"},
        {"Host": "127.0.0.1:1"},
        {"Host": "[::1]:17539", "Origin": "http://[::1]:17539"},
        {"Origin": "http://127.0.0.1:8080"},
        {},
    ],
)
def test_local_users_are_served(headers: dict[str, str]) -> None:
    """By any name of loopback; a client of old names no host at all."""
    assert is_local(headers)


async def test_taken_port_is_passed_over(port: int, snapshot: dict[str, Any]) -> None:
    """Several dewys of one host share the default."""
    async with (
        AdminAPI(port, telling(snapshot)) as first,
        AdminAPI(first.port, telling(snapshot)) as second,
    ):
        assert first.port < second.port <= first.port + PORTS_TRIED
        assert 200 == (await get(second.port, "/api/status"))[0]


@pytest.fixture
def taken() -> Iterator[int]:
    """The first of ten ports that are all taken."""
    for first in range(20000, 60000, PORTS_TRIED):
        with ExitStack() as stack:
            try:
                for port in range(first, first + PORTS_TRIED):
                    listener = stack.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
                    listener.listen()
            except OSError:
                continue
            yield first
            return
    pytest.skip("no ten free ports in a row")


async def test_ten_taken_ports_are_told(taken: int, snapshot: dict[str, Any]) -> None:
    """It once ended dewy with exit status 0."""
    with pytest.raises(DewyError, match=f"no free port from {taken} to {taken + 9}"):
        await AdminAPI(taken, telling(snapshot)).__aenter__()


async def test_zero_serves_nothing(snapshot: dict[str, Any]) -> None:
    """`--admin-port 0`."""
    async with AdminAPI(0, telling(snapshot)) as api:
        assert 0 == api.port


async def test_client_that_sends_no_request_is_let_go(
    port: int, snapshot: dict[str, Any]
) -> None:
    """Open connections cost descriptors."""
    async with AdminAPI(port, telling(snapshot), header_timeout=0.05) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"GET /api/status HTTP/1.1\r\nHost:")
        async with asyncio.timeout(30):
            with suppress(ConnectionError):
                assert b"" == await reader.read()
        writer.close()


async def test_port_is_free_after_leaving(port: int, snapshot: dict[str, Any]) -> None:
    """Also while a client is still connected."""
    async with AdminAPI(port, telling(snapshot)) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with AdminAPI(api.port, telling(snapshot)) as again:
        assert api.port == again.port
    writer.close()


def test_assets_have_their_number(snapshot: dict[str, Any]) -> None:
    """As the original counted its commands; only a server runs."""
    found = status_answer({**snapshot, "command": "assets", "running": None})

    assert (1, "", False) == (
        found["command"],
        found["current_version"],
        found["is_running"],
    )
