"""Proxies of the environment, for each hop of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.remotes import http
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
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.internal")


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


async def test_login_of_the_proxy_is_shown_to_it(
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


async def test_host_of_no_proxy_is_asked_itself(
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
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    named: str,
) -> None:
    server.files["/file"] = b"itself"
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", named)
    for _ in range(2):
        assert b"itself" == await get(f"{server.url}/file")

    assert 1 == caplog.text.count("Proxy not used")
