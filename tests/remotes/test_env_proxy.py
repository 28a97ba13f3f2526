"""Proxies of the environment, for each hop of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes import http
from dewy.remotes.env_proxy import LOGIN as ADVICE
from dewy.remotes.env_proxy import proxies_for
from dewy.urls import strike
from tests.standins.files import FileServer

LOGIN = "Basic bWU6bWluZQ=="


async def get(url: str) -> bytes:
    async with http.session() as session, session.get(url) as response:
        return await response.read()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", ".internal")


@pytest.fixture
def proxy(server: FileServer) -> str:
    """Answer for example.invalid in the place of a proxy; its host and port."""
    server.files["/file"] = b"by proxy"
    return server.url.removeprefix("http://")


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_request_goes_through_the_proxy(
    proxy: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", scheme + proxy)

    assert b"by proxy" == await get("http://example.invalid/file")


async def test_proxy_credentials_use_proxy_authorization_header(
    proxy: str, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:mine@{proxy}")
    await get("http://example.invalid/file")

    assert LOGIN == server.seen[-1].headers["Proxy-Authorization"]
    assert "Authorization" not in server.seen[-1].headers


async def test_login_of_the_proxy_may_be_in_netrc(
    proxy: str, server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("http_proxy", f"http://{proxy}")
    await get("http://example.invalid/file")

    assert LOGIN == server.seen[-1].headers["Proxy-Authorization"]


async def test_host_itself_is_asked_without_a_proxy(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a redirect by the proxy."""
    server.files["/file"] = b"itself"
    server.redirects["/away"] = f"{server.url}/file"
    monkeypatch.setenv("http_proxy", server.url)

    assert b"itself" == await get(f"{server.url}/file")
    assert b"itself" == await get("http://example.invalid/away")
    assert "127.0.0.1" in server.seen[-1].headers["Host"]


@pytest.mark.parametrize("named", ["https://127.0.0.1:9", "socks5://x", "http://x:y"])
async def test_unusable_proxy_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    monkeypatch.setenv("http_proxy", named)
    for _ in range(2):
        with pytest.raises(RemoteError, match="invalid is a name"):
            await told("http://example.invalid/file")

    assert 1 == caplog.text.count("Proxy not used")


async def told(url: str) -> None:
    """Ask as dewy's clients do."""
    host = url.split("/")[2]
    with http.translated(host):
        async with http.session() as session, session.get(url) as response:
            if response.status != 200:
                raise http.refusal(host, response.status, response.headers)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_is_away_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, scheme: str
) -> None:
    place = f"127.0.0.1:{unused_tcp_port}"
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:s3cret@{place}")
    text = f"proxy {place} could not be reached: Connect"
    with pytest.raises(RemoteError, match=text) as caught:
        await told(f"{scheme}://example.invalid/file")

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_has_no_name_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "proxy.invalid:3128")
    text = "proxy proxy.invalid:3128 is a name that could not be resolved"
    with pytest.raises(RemoteError, match=text):
        await told(f"{scheme}://example.invalid/file")


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("http", "the proxy to example.invalid answered 407: give its login"),
        (
            "https",
            r"proxy 127.0.0.1:\d+ answered 407 when asked for .*: give",
        ),
    ],
)
async def test_proxy_that_wants_a_login_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch, scheme: str, said: str
) -> None:
    refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
    async with answering(refusal) as place:
        monkeypatch.setenv(f"{scheme}_proxy", place)
        with pytest.raises(RemoteError, match=said):
            await told(f"{scheme}://example.invalid/file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tunnel connection failed: 407 Proxy Authentication Required", True),
        ("HTTP proxy returned response code 407", True),
        ("<HTTPConnection object at 0x7fa4079c0>: Connection refused", False),
        ("http://127.0.0.1:407/: no route", False),
        ("port 40712 refused", False),
    ],
)
def test_login_is_asked_for_by_the_status_alone(text: str, expected: bool) -> None:
    """Not by the digits of an address or a port."""
    assert expected == http.wants_login(text)


def test_advice_on_a_proxy_login_survives_the_redaction_of_logins() -> None:
    assert ADVICE == strike(ADVICE)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_is_not_there_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, scheme: str, unused_tcp_port: int
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"127.0.0.1:{unused_tcp_port}")
    with pytest.raises(RemoteError) as caught:
        await told(f"{scheme}://example.invalid/file")

    name = f"proxy 127.0.0.1:{unused_tcp_port}"
    assert f"{name} could not be reached: Connection refused" == str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("http", b"", "broke off the connection"),
        ("https", b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "answered 502"),
    ],
)
async def test_proxy_that_does_not_do_its_part_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch, scheme: str, answer: bytes, said: str
) -> None:
    async with answering(answer) as place:
        monkeypatch.setenv(f"{scheme}_proxy", place)
        with pytest.raises(RemoteError, match=f"proxy {place} {said}"):
            await told(f"{scheme}://example.invalid/file")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A proxy that answers everything with *answer*, and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


def test_proxies_of_other_clients_follow_the_same_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")

    assert {"https": "http://proxy.test:3128"} == proxies_for("https://acme.test/x")
    assert {} == proxies_for("https://10.1.2.3/x")
    assert {} == proxies_for("http://acme.test/x")
    assert {} == proxies_for("https://localhost:9000")
