from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from dewy.errors import RemoteError
from dewy.remotes.oci.credentials import Credentials
from dewy.remotes.oci.reference import Reference
from dewy.remotes.oci.tokens import (
    FRESH,
    UNSTATED,
    Authorization,
    Challenge,
    Grant,
    TokenRequest,
    request_for,
    token_in,
)
from tests.remotes.oci.conftest import Time

APP = Reference("registry.example", "acme/app")
ME = Credentials("me", "s3cret", source="DOCKER_PASSWORD")
BASIC = Challenge("basic", {"realm": "here"})
BEARER = Challenge("bearer", {"realm": "https://auth.example/t", "service": "s"})


class Remote:
    """Credentials and tokens as they come, and how often they were asked for."""

    def __init__(self, time: Time) -> None:
        self.credentials: Credentials | None = ME
        self.lasts = 300.0
        self.fails = False
        self.refuses: Credentials | None = None
        self.looked = self.given = 0
        self.asked: list[TokenRequest] = []
        self.authorization = Authorization(APP, self._find, self._ask, time.clock)

    async def _find(self) -> Credentials | None:
        self.looked += 1
        return self.credentials

    async def _ask(self, request: TokenRequest) -> Grant:
        self.asked.append(request)
        shown = self.refuses and request_for(APP, BEARER, self.refuses).authorization
        if self.fails or (shown and shown == request.authorization):
            raise RemoteError("no token today")
        self.given += 1
        return Grant(f"token{self.given}", self.lasts)


@pytest.fixture
def remote(time: Time) -> Remote:
    return Remote(time)


async def test_nothing_is_shown_unasked(remote: Remote) -> None:
    assert "" == await remote.authorization.header()
    assert (0, []) == (remote.looked, remote.asked)


async def test_challenge_is_answered_by_a_token(remote: Remote) -> None:
    assert await remote.authorization.refused("", [BASIC, BEARER])

    assert "Bearer token1" == await remote.authorization.header()
    assert remote.authorization.found is not None
    assert "DOCKER_PASSWORD" == remote.authorization.found.source


async def test_challenge_is_answered_by_a_password(remote: Remote) -> None:
    assert await remote.authorization.refused("", [BASIC])

    assert "Basic bWU6czNjcmV0" == await remote.authorization.header()


async def test_expired_token_is_renewed_without_401(remote: Remote, time: Time) -> None:
    """Without another 401."""
    await remote.authorization.refused("", [BEARER])
    time.now += 290
    assert "Bearer token1" == await remote.authorization.header()
    time.now += 10

    assert "Bearer token2" == await remote.authorization.header()


async def test_refused_token_is_renewed_with_credentials_looked_up_again(
    remote: Remote,
) -> None:
    """A password may be another one by now; some last for hours only."""
    await remote.authorization.refused("", [BEARER])

    assert await remote.authorization.refused("Bearer token1", [BEARER])

    assert "Bearer token2" == await remote.authorization.header()
    assert 2 == remote.looked


async def test_token_of_somebody_else_is_used(remote: Remote) -> None:
    """Two requests refused at once make one new token."""
    await remote.authorization.refused("", [BEARER])

    assert await remote.authorization.refused("", [BEARER])

    assert 1 == len(remote.asked)


async def test_credentials_are_kept_for_minutes(remote: Remote, time: Time) -> None:
    remote.lasts = 10
    await remote.authorization.refused("", [BEARER])
    time.now += 20
    await remote.authorization.header()
    assert 1 == remote.looked
    time.now += FRESH
    await remote.authorization.header()

    assert 2 == remote.looked


async def test_refused_password_is_not_shown_twice(remote: Remote) -> None:
    await remote.authorization.refused("", [BASIC])
    header = await remote.authorization.header()

    assert not await remote.authorization.refused(header, [BASIC])


async def test_changed_password_is_shown_at_once(remote: Remote) -> None:
    await remote.authorization.refused("", [BASIC])
    header = await remote.authorization.header()
    remote.credentials = Credentials("me", "another")

    assert await remote.authorization.refused(header, [BASIC])
    assert header != await remote.authorization.header()


async def test_login_made_meanwhile_is_found(remote: Remote) -> None:
    remote.credentials = None
    assert not await remote.authorization.refused("", [BASIC])
    remote.credentials = ME

    assert await remote.authorization.refused("", [BASIC])


async def test_unsupported_auth_scheme_is_not_answered(remote: Remote) -> None:
    assert not await remote.authorization.refused("", [Challenge("negotiate")])
    assert not await remote.authorization.refused("", [])


async def test_refused_credentials_are_looked_up_again(remote: Remote) -> None:
    remote.fails = True
    for _ in range(2):
        with pytest.raises(RemoteError, match="today"):
            await remote.authorization.refused("", [BEARER])

    assert 2 == remote.looked


async def test_rotated_login_replaces_cached_login_on_refusal(
    remote: Remote, time: Time
) -> None:
    """Where the token server refuses the one that was found minutes ago."""
    remote.lasts = 60.0
    await remote.authorization.refused("", [BEARER])
    time.now += 61
    remote.credentials, remote.refuses = Credentials("me", "n3w"), ME

    assert "Bearer token2" == await remote.authorization.header()
    assert (2, 3) == (remote.looked, len(remote.asked))


async def test_login_that_is_still_the_same_is_not_tried_again(
    remote: Remote, time: Time
) -> None:
    remote.lasts = 60.0
    await remote.authorization.refused("", [BEARER])
    time.now += 61
    remote.refuses = ME
    with pytest.raises(RemoteError, match="no token today"):
        await remote.authorization.header()

    assert (2, 2) == (remote.looked, len(remote.asked))


async def test_forbidden_login_is_looked_for_again(remote: Remote) -> None:
    """Some registries say 403 of one that has ended."""
    await remote.authorization.refused("", [BASIC])
    header = await remote.authorization.header()
    assert not await remote.authorization.renewed(header)
    assert header == await remote.authorization.header()
    remote.credentials = Credentials("me", "n3w")

    assert await remote.authorization.renewed(header)
    assert header != await remote.authorization.header()
    assert await remote.authorization.renewed(header)


async def test_forbidden_request_without_login_stays_forbidden(remote: Remote) -> None:
    assert not await remote.authorization.renewed("")
    assert 0 == remote.looked


def test_request_names_service_and_scope() -> None:
    request = request_for(APP, BEARER, ME)

    assert {"service": ["s"], "scope": ["repository:acme/app:pull"]} == parse_qs(
        request.url.query_string
    )
    assert "Basic bWU6czNjcmV0" == request.authorization
    assert "" == request.body
    assert "s3cret" not in repr(request)
    assert "Basic" not in repr(request)


def test_challenge_scope_is_passed_unchanged() -> None:
    """Some registries have words of their own."""
    realm = {"realm": "https://auth.example/t?a=b", "scope": "repository:x:pull,push"}
    request = request_for(APP, Challenge("bearer", realm), None)

    assert "repository:x:pull,push" == request.url.query["scope"]
    assert "b" == request.url.query["a"]
    assert "" == request.authorization


def test_identity_token_is_posted() -> None:
    request = request_for(APP, BEARER, Credentials(token="t0ken"))
    form = parse_qs(request.body)

    assert (["refresh_token"], ["t0ken"]) == (form["grant_type"], form["refresh_token"])
    assert "" == request.url.query_string
    assert "t0ken" not in repr(request)


@pytest.mark.parametrize(
    ("reference", "realm"),
    [
        (APP, "https://elsewhere.example/t"),
        (APP, "https://10.0.0.5/t"),
        (Reference("registry.lan", "app", True), "http://auth.lan/t"),
        (Reference("localhost:5000", "app"), "http://127.0.0.1:5001/t"),
        (Reference("localhost:5000", "app", False), "http://127.0.0.1:5001/t"),
        (Reference("localhost:5000", "app"), "https://auth.example/t"),
    ],
)
def test_realm_may_be_elsewhere(reference: Reference, realm: str) -> None:
    """Private addresses too: GitLab and Harbor have it so."""
    request = request_for(reference, Challenge("bearer", {"realm": realm}), ME)

    assert realm == str(request.url.with_query(None))


@pytest.mark.parametrize(
    ("reference", "realm"),
    [
        (APP, "http://auth.example/t"),
        (APP, "http://127.0.0.1/t"),
        (Reference("localhost:5000", "app"), "http://auth.example/t"),
    ],
)
def test_credentials_are_not_sent_as_plain_text(
    reference: Reference, realm: str
) -> None:
    with pytest.raises(RemoteError, match="by plain http; nothing was sent"):
        request_for(reference, Challenge("bearer", {"realm": realm}), ME)


@pytest.mark.parametrize(
    "realm",
    ["here", "/token", "ftp://a/t", "https://", "https://u:p@a/t", "https://[x/"],
)
def test_realm_that_is_no_url_is_said(realm: str) -> None:
    with pytest.raises(RemoteError, match="names no URL for tokens"):
        request_for(APP, Challenge("bearer", {"realm": realm}), ME)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"token": "a", "access_token": "b", "expires_in": 60}, Grant("a", 60)),
        ({"access_token": "b", "expires_in": 3600}, Grant("b", 3600)),
        ({"token": "a"}, Grant("a", UNSTATED)),
        ({"token": "a", "expires_in": "soon"}, Grant("a", UNSTATED)),
        ({"token": "a", "expires_in": -1}, Grant("a", UNSTATED)),
        ({"token": "a", "expires_in": 10**400}, Grant("a", 86400)),
    ],
)
def test_token_is_read(document: object, expected: Grant) -> None:
    assert expected == token_in("auth.example", document)


@pytest.mark.parametrize(
    "document", [{}, [], None, {"token": 7}, {"token": ""}, {"token": "a\r\nb"}]
)
def test_invalid_token_response_is_rejected(document: object) -> None:
    with pytest.raises(RemoteError, match=r"auth\.example .* not a token"):
        token_in("auth.example", document)
