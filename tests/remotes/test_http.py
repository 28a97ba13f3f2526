from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from dewy import __version__
from dewy.errors import RateLimited, RemoteError
from dewy.remotes import http
from tests.standins.certificates import Authority
from tests.standins.files import Fault, FileServer

BRISK = http.Deadlines(connect=1.0, silence=0.05, answer=0.1)


async def secret() -> str:
    return "s3cret"


async def get(url: str, deadlines: http.Deadlines = http.STANDARD) -> None:
    """Ask, as those who use a session do."""
    with http.translated("127.0.0.1"):
        async with http.session(deadlines) as session, session.get(url):
            pass


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": " 17 "}, 17.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 400}, 3600.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1060"}, 60.0),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1060"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "never"}, None),
        ({"X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "940"}, 0.0),
        ({"Retry-After": formatdate(1090, usegmt=True)}, 90.0),
        (
            {
                "Retry-After": "5",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1060",
            },
            5.0,
        ),
    ],
)
def test_time_to_stay_away_is_read(
    headers: Mapping[str, str], expected: float | None
) -> None:
    """By the server's clock, whatever ours says, and never longer than an hour."""
    date = {"Date": formatdate(1000, usegmt=True)}

    assert expected == http.retry_after({**date, **headers})


def test_own_clock_serves_where_the_server_tells_no_time() -> None:
    """Not every proxy sends a Date."""
    header = {"Retry-After": formatdate(time.time() + 120, usegmt=True)}

    assert http.retry_after(header) == pytest.approx(120, abs=30)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {}),
        (429, {"Retry-After": "7"}),
        (403, {"Retry-After": "7"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}),
    ],
)
def test_rate_limits_are_told_from_other_refusals(
    status: int, headers: Mapping[str, str]
) -> None:
    """A caller that stays away is let in again; one that asks on is not."""
    error = http.refusal("example.com", status, headers)

    assert isinstance(error, RateLimited)
    assert http.retry_after(headers) == error.retry_after


def test_refusal_message_names_host_status_and_advice() -> None:
    """One line an operator can act on."""
    error = http.refusal("example.com", 401, {}, {401: "check GH_TOKEN"})

    assert type(error) is RemoteError
    assert "example.com answered 401 Unauthorized: check GH_TOKEN" == str(error)


def test_unknown_http_status_is_reported_as_error() -> None:
    """A server may answer anything."""
    assert "example.com answered 599" == str(http.refusal("example.com", 599, {}))


def test_invalid_json_raises_remote_error() -> None:
    """A captive portal answers 200 with a page of its own; a fool with brackets."""
    for rubbish in (b"<html>", b"\xff\xfe", b"", b"[" * 100_000):
        with pytest.raises(RemoteError, match=r"example\.com .* not JSON"):
            http.parse("example.com", rubbish)


async def test_session_sends_user_agent(server: FileServer) -> None:
    """GitHub refuses requests without a User-Agent."""
    async with http.session() as session, session.get(server.url) as response:
        await response.read()

    assert f"dewy/{__version__}" == server.seen[0].headers["User-Agent"]


async def test_silent_server_is_given_up(server: FileServer) -> None:
    """No outside call is without its deadline."""
    server.faults = [Fault(then="stall", body=b"")]

    with pytest.raises(RemoteError, match=r"^127\.0\.0\.1 did not answer in time$"):
        await get(server.url, BRISK)


async def test_failure_does_not_quote_the_url() -> None:
    """The query of a URL may be a signature, and errors are logged and sent."""
    async with FileServer() as gone:
        url = f"{gone.url}/file?token=s3cret"

    with pytest.raises(RemoteError, match=r"reached: Connection refused$") as caught:
        await get(url)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("/around", "redirected too often"),
        ("http://[", "redirected to something that is no http URL"),
        ("ftp://example.com/", "redirected to something that is no http URL"),
    ],
)
async def test_bad_redirects_are_errors(
    server: FileServer, location: str, complaint: str
) -> None:
    """In our words, like every other failure."""
    server.redirects["/around"] = location

    with pytest.raises(RemoteError, match=complaint):
        await get(f"{server.url}/around")


@pytest.fixture
async def secure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FileServer]:
    """A server with TLS that this host trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    async with FileServer(authority.serving("127.0.0.1")) as server:
        yield server


@pytest.mark.parametrize("login", [True, False])
async def test_redirect_from_https_to_plain_text_is_refused(
    server: FileServer,
    secure: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    login: bool,
) -> None:
    """Whoever is on the way could send another file, and reads the login."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n" if login else "")
    monkeypatch.setenv("NETRC", str(netrc))
    server.files["/file"] = b"x"
    secure.redirects["/file"] = f"{server.url}/file"
    server.redirects["/up"] = f"{secure.url}/file"

    for url in (f"{secure.url}/file", f"{server.url}/up"):
        with pytest.raises(RemoteError, match="redirects from https to plain http"):
            await get(url)

    assert ["/up"] == [seen.path for seen in server.seen]


async def test_redirects_that_stay_encrypted_are_followed(
    server: FileServer, secure: FileServer
) -> None:
    secure.files["/file"] = b"x"
    secure.redirects |= {"/a": "/b", "/b": secure.url.removeprefix("https:") + "/file"}
    server.redirects["/up"] = f"{secure.url}/a"

    async with http.session() as session, session.get(f"{server.url}/up") as response:
        assert b"x" == await response.read()


async def test_token_is_sent_only_to_its_origin(server: FileServer) -> None:
    """A redirect to another origin, and only that, loses the token."""
    async with FileServer() as other:
        server.redirects = {"/near": "/file", "/far": f"{other.url}/file"}
        server.files["/file"] = other.files["/file"] = b"x"
        authorize = http.bearer(secret, {URL(server.url)})
        async with http.session(middlewares=[authorize]) as session:
            for path in ("/near", "/far"):
                async with session.get(server.url + path) as response:
                    assert b"x" == await response.read()

        assert {"Bearer s3cret"} == {s.headers["Authorization"] for s in server.seen}
        assert ["/file"] == [seen.path for seen in other.seen]
        assert "Authorization" not in other.seen[0].headers


async def test_authorization_of_a_request_stays_with_its_origin(
    server: FileServer,
) -> None:
    """What the client library promises of headers and of URLs with credentials."""
    async with FileServer() as other:
        server.redirects["/far"] = f"{other.url}/file"
        other.files["/file"] = b"x"
        url = URL(server.url).with_path("/far")
        async with http.session() as session:
            async with session.get(url, headers={"Authorization": "Bearer s3cret"}):
                pass
            async with session.get(url.with_user("u").with_password("s3cret")):
                pass

        assert all("Authorization" in seen.headers for seen in server.seen)
        assert [False, False] == ["Authorization" in s.headers for s in other.seen]


async def test_token_wins_over_netrc(
    server: FileServer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who keeps a login for the same host, for another program, is not locked out."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    authorize = http.bearer(secret, {URL(server.url)})
    async with (
        http.session(middlewares=[authorize]) as session,
        session.get(server.url),
    ):
        pass

    assert "Bearer s3cret" == server.seen[0].headers["Authorization"]


async def test_signed_redirect_is_followed_to_the_letter(server: FileServer) -> None:
    """Requoting a signature spoils it."""
    server.redirects["/a"] = f"{server.url}/file?sig=a%2Fb%2Bc%3D"
    async with http.session() as session, session.get(f"{server.url}/a"):
        pass

    assert "/file?sig=a%2Fb%2Bc%3D" == server.seen[-1].path


async def test_body_is_read_up_to_its_limit(server: FileServer) -> None:
    """A server does not decide how much memory we use."""
    server.files["/file"] = b"x" * 1000
    async with http.session() as session:
        async with session.get(f"{server.url}/file") as response:
            assert 1000 == len(await http.read(response, 1000))
        async with session.get(f"{server.url}/file") as response:
            with pytest.raises(RemoteError, match="exceeds 999 bytes"):
                await http.read(response, 999)


async def test_cancellation_is_no_failure_of_the_server(server: FileServer) -> None:
    """It passes through unchanged."""
    server.faults = [Fault(then="stall", body=b"")]
    task = asyncio.create_task(get(server.url))
    await asyncio.wait_for(server.asked.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("failure", "how"),
    [
        (aiohttp.ClientPayloadError("/?token=s3cret"), " in the middle of its answer"),
        (aiohttp.ServerDisconnectedError("s3cret"), " without an answer"),
        (aiohttp.ClientOSError(104, "s3cret"), ": connection reset by peer"),
        (aiohttp.ClientOSError(1, "[SSL: s3cret]"), ""),
        (aiohttp.ClientConnectionError("s3cret"), ""),
    ],
)
def test_broken_connections_are_told_in_words(failure: Exception, how: str) -> None:
    """With nothing of the failure's text or of its class."""
    with pytest.raises(RemoteError) as caught, http.translated("example.com"):
        raise failure

    assert f"example.com broke off the connection{how}" == str(caught.value)
