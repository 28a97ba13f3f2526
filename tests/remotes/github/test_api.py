from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.remotes import http
from dewy.remotes.github import GitHub, GitHubAccount, Repository
from tests.standins.files import Fault
from tests.standins.github import TOKEN, GitHubServer

Connect = Callable[..., AbstractAsyncContextManager[GitHub]]

BRISK = http.Deadlines(connect=5.0, silence=0.1, answer=0.1)


def app(server: GitHubServer) -> dict[str, str]:
    """What the operator of an App sets."""
    return {
        "GITHUB_APP_ID": "12",
        "GITHUB_APP_INSTALLATION_ID": "34",
        "GITHUB_APP_PRIVATE_KEY": server.apps.pem(),
    }


async def test_request_has_headers_required_by_github(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """A name, a version, a media type and a token."""
    await client.releases(repository)

    headers = server.seen[0].headers
    assert headers["User-Agent"].startswith("dewy/")
    assert f"Bearer {TOKEN}" == headers["Authorization"]
    assert "application/vnd.github+json" == headers["Accept"]
    assert "2022-11-28" == headers["X-GitHub-Api-Version"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "check GITHUB_TOKEN"),
        (403, "GITHUB_TOKEN may not do this"),
        (404, "GITHUB_TOKEN may not see it"),
        (500, "answered 500 Internal Server Error"),
        (502, "answered 502 Bad Gateway"),
    ],
)
async def test_refusal_names_status_and_remedy(
    server: GitHubServer,
    client: GitHub,
    repository: Repository,
    status: int,
    advice: str,
) -> None:
    """And shows neither the token nor what the server wrote."""
    server.faults = [Fault(status=status, body=b'{"message": "internal detail"}')]
    with pytest.raises(RemoteError, match=f"127.0.0.1 answered {status}") as caught:
        await client.releases(repository)

    assert not isinstance(caught.value, RateLimited)
    assert advice in str(caught.value)
    assert "internal detail" not in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_wrong_base_of_enterprise_is_guessed(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """A 404 there mostly means that /api/v3/ is missing."""
    async with connect(GITHUB_API_URL=server.origin) as client:
        with pytest.raises(RemoteError, match="below /api/v3/"):
            await client.releases(repository)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=429, headers={"Retry-After": "17"}), 17),
        (Fault(status=429), 60),
        (Fault(status=403, headers={"Retry-After": "17"}), 17),
        (
            Fault(status=403, body=b'{"message": "exceeded a secondary rate limit"}'),
            60,
        ),
    ],
    ids=["429 and when", "429", "403 and when", "403"],
)
async def test_secondary_limit_is_honoured(
    server: GitHubServer,
    client: GitHub,
    repository: Repository,
    fault: Fault,
    expected: float,
) -> None:
    """Who asks on is kept out for longer; a minute is the least if none is named."""
    server.faults = [fault]
    with pytest.raises(RateLimited) as caught:
        await client.releases(repository)

    assert expected == caught.value.retry_after


async def test_primary_limit_is_honoured(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """Until the moment GitHub names."""
    server.remaining = 0
    with pytest.raises(RateLimited) as caught:
        await client.releases(repository)

    assert caught.value.retry_after == pytest.approx(1200, abs=60)


@pytest.mark.parametrize(
    "body",
    [b"<html>Sign in</html>", b"", b'{"message": "hi"}', b"[null]", b"[{}]", b"\xff"],
)
async def test_rubbish_is_an_error(
    server: GitHubServer, client: GitHub, repository: Repository, body: bytes
) -> None:
    """A captive portal answers 200 to anything."""
    server.faults = [Fault(body=body)]
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1 answered with something"):
        await client.releases(repository)


async def test_huge_complaint_is_not_read(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """It is still the refusal it is."""
    server.faults = [Fault(status=403, body=b" " * (1 << 20))]
    with pytest.raises(RemoteError, match="may not do this"):
        await client.releases(repository)


async def test_slow_answer_is_given_up(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """A tick can't hang."""
    server.faults = [Fault(then="stall", body=b"")]
    async with connect(deadlines=BRISK) as client:
        with pytest.raises(RemoteError, match="did not answer in time"):
            await client.releases(repository)


async def test_server_that_is_gone_is_an_error(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """In our words, and at once."""
    await server._runner.cleanup()
    with pytest.raises(RemoteError, match="could not be reached: Connect"):
        await client.releases(repository)


async def test_app_is_authorised_with_a_token_of_its_installation(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """One token serves until it ends; the JWT itself opens nothing."""
    async with connect(**app(server)) as client:
        await asyncio.gather(client.releases(repository), client.releases(repository))

    assert "POST /app/installations/34/access_tokens" == server.paths()[0]
    used = {seen.headers["Authorization"] for seen in server.seen[1:]}
    assert {"Bearer ghs_1"} == used
    assert 1 == len(server.apps.claims)


@pytest.mark.parametrize("ahead", [-50.0, 0.0, 240.0])
async def test_clocks_may_differ_by_minutes(
    server: GitHubServer, connect: Connect, repository: Repository, ahead: float
) -> None:
    """
    GitHub accepts the JWT of a host that is a little ahead, or well behind.

    One of the full ten minutes is refused as soon as our clock is ahead at all.
    """
    server.apps.clock_error = ahead
    async with connect(**app(server)) as client:
        assert () == await client.releases(repository)


async def test_app_token_is_renewed_before_expiry(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """With less than five minutes left another is asked for."""
    server.apps.lifetime = 299.0
    async with connect(**app(server)) as client:
        await client.releases(repository)
        server.apps.lifetime = 3600.0
        await client.releases(repository)
        await client.releases(repository)

    authorizations = [
        s.headers["Authorization"] for s in server.seen if s.method == "GET"
    ]
    assert ["Bearer ghs_1", "Bearer ghs_2", "Bearer ghs_2"] == authorizations


async def test_refused_app_token_is_replaced_at_the_next_request(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """Somebody may have revoked it."""
    async with connect(**app(server)) as client:
        await client.releases(repository)
        server.tokens.discard("ghs_1")
        with pytest.raises(RemoteError, match="401"):
            await client.releases(repository)

        assert () == await client.releases(repository)


async def test_rotated_app_key_is_reloaded_after_rejection(
    server: GitHubServer, connect: Connect, repository: Repository, tmp_path: Path
) -> None:
    """Within the same request; the file is not looked at before."""
    path = tmp_path / "key.pem"
    server.apps.lifetime = 299.0
    named = {**app(server), "GITHUB_APP_PRIVATE_KEY": ""}
    write = partial(asyncio.to_thread, path.write_text)
    await write(server.apps.pem())
    named["GITHUB_APP_PRIVATE_KEY_PATH"] = str(path)
    async with await asyncio.to_thread(connect, **named) as client:
        await client.releases(repository)
        server.apps.renew()
        with pytest.raises(RemoteError, match="App's private key"):
            await client.releases(repository)
        await write("rubbish")
        with pytest.raises(RemoteError, match="not an unencrypted RSA key"):
            await client.releases(repository)
        await write(server.apps.pem())

        assert () == await client.releases(repository)


async def test_unknown_installation_names_the_settings(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """The remedy is in the environment."""
    environ = {**app(server), "GITHUB_APP_INSTALLATION_ID": "35"}
    async with connect(**environ) as client:
        with pytest.raises(RemoteError, match="GITHUB_APP_INSTALLATION_ID"):
            await client.releases(repository)


async def test_enterprise_app_token_comes_from_api_v3(repository: Repository) -> None:
    """Even if the base was given without."""
    async with GitHubServer(prefix="") as server:
        stated = {"GITHUB_API_URL": server.origin, **app(server)}
        async with GitHub(GitHubAccount.from_environment(stated)) as client:
            await client.releases(repository)

    assert "POST /api/v3/app/installations/34/access_tokens" == server.paths()[0]
