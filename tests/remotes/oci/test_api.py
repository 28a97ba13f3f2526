"""What is shown to whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from dewy.errors import RateLimited, RemoteError
from dewy.remotes.oci.reference import Reference
from tests.remotes.oci.conftest import Connect, Time
from tests.standins.files import Fault
from tests.standins.image_api import ImageAPI
from tests.standins.image_tokens import PASSWORD, USER, TokenServer, basic

OWN = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": PASSWORD}
BASIC = basic(USER, PASSWORD)


class Anything(set[str]):
    """Any bearer token is let in."""

    def __contains__(self, shown: object) -> bool:
        return isinstance(shown, str) and shown.startswith("Bearer ")


@pytest.fixture
async def guarded(server: ImageAPI, tokens: TokenServer) -> ImageAPI:
    """Wants a token."""
    server.tag("v1.0.0")
    scope = "repository:app:pull"
    server.challenge = f'bearer realm="{tokens.url}",service="here",scope="{scope}"'
    server.accepted = Anything()
    return server


@pytest.fixture
async def foreign() -> AsyncIterator[ImageAPI]:
    """Another registry, with the same tag and a will to know our credentials."""
    async with ImageAPI() as foreign:
        foreign.tag("v1.0.0")
        yield foreign


async def test_token_is_asked_for_once(
    connect: Connect, guarded: ImageAPI, tokens: TokenServer, reference: Reference
) -> None:
    """Even a first poll asks the registry no more than once too often."""
    async with connect(**OWN) as client:
        await client.tags(reference)
        await client.digest(reference, "v1.0.0")
        await client.tags(reference)

    assert [BASIC] == [seen["authorization"] for seen in tokens.seen]
    assert [False, True, True, True] == [bool(shown) for shown in guarded.shown()]


async def test_password_goes_to_the_realm_and_not_to_the_registry(
    connect: Connect, guarded: ImageAPI, reference: Reference
) -> None:
    async with connect(**OWN) as client:
        await client.tags(reference)

    assert BASIC not in guarded.shown()


async def test_client_without_credentials_gets_anonymous_token(
    connect: Connect, guarded: ImageAPI, tokens: TokenServer, reference: Reference
) -> None:
    async with connect() as client:
        assert ("v1.0.0",) == await client.tags(reference)

    assert [""] == [seen["authorization"] for seen in tokens.seen]


async def test_token_that_ended_is_renewed_in_time(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
    time: Time,
) -> None:
    tokens.lasts = 30
    async with connect(**OWN) as client:
        await client.tags(reference)
        time.now += 31
        await client.tags(reference)

    assert 2 == len(tokens.seen)
    assert 1 == guarded.shown().count("")


async def test_login_that_is_forbidden_by_now_is_looked_for_again(
    connect: Connect, server: ImageAPI, reference: Reference, tmp_path: Path
) -> None:
    """ECR says so of one that has ended; others renew the file."""
    config = tmp_path / "config.json"

    def log_in(password: str) -> None:
        auths = {reference.host: {"username": USER, "password": password}}
        config.write_text(json.dumps({"auths": auths}))

    server.tag("v1.0.0")
    server.challenge = 'Basic realm="here"'
    server.accepted = {basic(USER, "old"), basic(USER, "new")}
    log_in("old")
    async with connect(DOCKER_CONFIG=str(tmp_path)) as client:
        await client.tags(reference)
        log_in("new")
        server.faults.append(Fault(status=403))

        assert ("v1.0.0",) == await client.tags(reference)

    assert basic(USER, "new") == server.shown()[-1]


async def test_token_refused_early_is_renewed(
    connect: Connect, guarded: ImageAPI, tokens: TokenServer, reference: Reference
) -> None:
    async with connect(**OWN) as client:
        await client.tags(reference)
        first = guarded.shown()[-1]
        guarded.accepted = Renewed(first)
        await client.tags(reference)

    assert 2 == len(tokens.seen)
    assert [first, first] == [each for each in guarded.shown() if each == first]


class Renewed(set[str]):
    """Any bearer token but *old*."""

    def __init__(self, old: str) -> None:
        self._old = old

    def __contains__(self, shown: object) -> bool:
        return shown != self._old and shown in Anything()


async def test_second_refusal_is_final(
    connect: Connect, guarded: ImageAPI, tokens: TokenServer, reference: Reference
) -> None:
    guarded.accepted = set()
    async with connect(**OWN) as client:
        with pytest.raises(RemoteError, match=r"401 .*: check DOCKER_PASSWORD"):
            await client.tags(reference)

    assert 2 == len(guarded.seen)


@pytest.mark.parametrize(
    ("environ", "advice"),
    [
        (OWN | {"DOCKER_PASSWORD": "wrong"}, "check DOCKER_PASSWORD"),
        ({}, "docker login"),
    ],
)
async def test_token_server_refusal_includes_advice(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
    environ: dict[str, str],
    advice: str,
) -> None:
    tokens.anonymous = False
    async with connect(**environ) as client:
        with pytest.raises(RemoteError, match=f"401 Unauthorized: {advice}") as caught:
            await client.tags(reference)

    assert "wrong" not in str(caught.value)


async def test_token_server_may_be_busy(
    connect: Connect, guarded: ImageAPI, tokens: TokenServer, reference: Reference
) -> None:
    tokens.faults = [web.Response(status=429, headers={"Retry-After": "9"})]
    async with connect() as client:
        with pytest.raises(RateLimited):
            await client.tags(reference)


async def test_realm_leads_nowhere_else(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    foreign: ImageAPI,
    reference: Reference,
) -> None:
    tokens.faults = [
        web.Response(status=307, headers={"Location": f"http://{foreign.host}/token"})
    ]
    async with connect(**OWN) as client:
        with pytest.raises(RemoteError, match="307"):
            await client.tags(reference)

    assert [] == foreign.seen


@pytest.mark.parametrize("body", [b"<html>", b"{}", b" " * (2 << 20)])
async def test_garbage_is_no_token(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
    body: bytes,
) -> None:
    tokens.faults = [web.Response(body=body)]
    async with connect() as client:
        with pytest.raises(RemoteError, match=r"127\.0\.0\.1"):
            await client.tags(reference)


async def test_password_is_shown_where_that_is_wanted(
    connect: Connect, server: ImageAPI, reference: Reference
) -> None:
    server.tag("v1.0.0")
    server.challenge, server.accepted = 'Basic realm="x"', {BASIC}
    async with connect(**OWN) as client:
        await client.tags(reference)
        await client.tags(reference)

    assert ["", BASIC, BASIC] == server.shown()


async def test_redirect_is_followed_without_credentials(
    connect: Connect, server: ImageAPI, foreign: ImageAPI, reference: Reference
) -> None:
    """Some registries are many. Only the one that was named knows us."""
    server.challenge, server.accepted = "Basic", {BASIC}
    async with connect(**OWN) as client:
        await client.tags(reference)
        server.redirect = f"http://{foreign.host}"

        assert ("v1.0.0",) == await client.tags(reference)

    assert BASIC == server.shown()[-1]
    assert [""] == foreign.shown()


async def test_foreign_challenge_is_not_answered(
    connect: Connect,
    server: ImageAPI,
    foreign: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
) -> None:
    server.redirect = f"http://{foreign.host}"
    foreign.challenge = f'Bearer realm="{tokens.url}"'
    async with connect(**OWN) as client:
        with pytest.raises(RemoteError, match="401"):
            await client.tags(reference)

    assert [] == tokens.seen
    assert [""] == foreign.shown()


async def test_identity_token_is_exchanged(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """What `docker login` leaves for some registries."""
    directory = tmp_path_factory.mktemp("docker")
    entry = (
        f'{{"auths": {{"{guarded.host}": {{"identitytoken": "{tokens.identity}"}}}}}}'
    )
    (directory / "config.json").write_text(entry)
    async with connect(DOCKER_CONFIG=str(directory)) as client:
        assert ("v1.0.0",) == await client.tags(reference)

    assert ["refresh_token"] == [seen["grant_type"] for seen in tokens.seen]


def failing_store(tmp_path: Path) -> dict[str, str]:
    """An environment in which the default store of docker fails."""
    program = tmp_path / "docker-credential-broken"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "broken"}')
    return {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}


async def test_public_image_needs_no_store(
    connect: Connect, guarded: ImageAPI, reference: Reference, tmp_path: Path
) -> None:
    async with connect(**failing_store(tmp_path)) as client:
        assert ("v1.0.0",) == await client.tags(reference)


async def test_refusal_quotes_the_store_that_failed(
    connect: Connect,
    guarded: ImageAPI,
    tokens: TokenServer,
    reference: Reference,
    tmp_path: Path,
) -> None:
    guarded.accepted = set()
    async with connect(**failing_store(tmp_path)) as client:
        with pytest.raises(RemoteError, match=r"401 .*docker-credential-broken ended"):
            await client.tags(reference)
