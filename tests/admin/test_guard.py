"""What the admin API refuses."""

from __future__ import annotations

from typing import Any

import pytest

from dewy.admin.guard import is_local
from dewy.admin.http import AdminAPI
from tests.standins.browsing import connected, get, parsed, send, telling

PATHS = ["/", "/api/status", "/api/containers", "/api/events"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
async def test_only_looking_is_served(
    port: int, snapshot: dict[str, Any], method: str, path: str
) -> None:
    """Changing anything goes through the control socket."""
    request = f"{method} {path} HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n"
    async with AdminAPI(port, telling(snapshot)) as api:
        code, headers, _ = await send(api.port, request)

    assert 405 == code
    assert ("GET", "close") == (headers["allow"], headers["connection"].lower())


@pytest.mark.parametrize(
    "header",
    [
        "Host: evil.example",
        "Host: localhost.evil.example",
        "Host: 127.0.0.1.evil.example:17539",
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
    ],
)
@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
async def test_pages_from_elsewhere_are_refused(
    port: int, snapshot: dict[str, Any], header: str, path: str
) -> None:
    """A browser on this host reaches loopback for whatever page it shows."""
    async with AdminAPI(port, telling(snapshot)) as api:
        code, body = await get(api.port, path, header)

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
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"},
        {},
    ],
)
def test_local_users_are_served(headers: dict[str, str]) -> None:
    """By any name of loopback; a client of old names no host at all."""
    assert is_local(headers)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "length", ["Content-Length: 1025", "Transfer-Encoding: chunked"]
)
async def test_bodies_are_refused_unread(
    port: int, snapshot: dict[str, Any], method: str, length: str
) -> None:
    """Also where nothing of it has come yet."""
    request = f"{method} /api/status HTTP/1.1\nHost: localhost\n{length}\n\n"
    async with AdminAPI(port, telling(snapshot)) as api:
        code, headers, body = await send(api.port, request)

    assert (413, "close") == (code, headers["connection"].lower())
    assert "v2" not in body


async def test_client_sending_body_after_413_is_disconnected(
    port: int, snapshot: dict[str, Any]
) -> None:
    """The answer is there, and a little later the connection is not."""
    head = b"POST /api/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    async with AdminAPI(port, telling(snapshot)) as api, connected(api.port) as peer:
        reader, writer = peer
        writer.write(head + b"99999999999\r\n\r\n")
        first = await reader.readline()
        with pytest.raises(ConnectionError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()

    assert b"HTTP/1.1 413" in first


async def test_responses_and_errors_have_security_headers(
    port: int, snapshot: dict[str, Any]
) -> None:
    """Kept by no cache, read by no other page, shown in no frame; errors too."""
    request = "GET {} HTTP/1.1\nHost: localhost\n\n"
    async with AdminAPI(port, telling(snapshot)) as api:
        for path in ("/api/status", "/api/containers", "/nothing"):
            _, headers, _ = await send(api.port, request.format(path))
            assert {
                "cache-control": "no-store",
                "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
                "cross-origin-resource-policy": "same-origin",
                "x-content-type-options": "nosniff",
            }.items() <= headers.items()


async def test_malformed_request_gets_400_and_next_is_served(
    port: int, snapshot: dict[str, Any]
) -> None:
    """And does the next one no harm."""
    async with AdminAPI(port, telling(snapshot)) as api:
        async with connected(api.port) as (reader, writer):
            writer.write(b"\x16\x03\x01 is TLS\r\n\r\n")
            code, _, _ = parsed(await reader.read())
        assert 400 == code
        assert 200 == (await get(api.port, "/api/status"))[0]
