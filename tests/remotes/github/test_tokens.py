from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from dewy.errors import RemoteError
from dewy.remotes.github.account import InstallationTokens, PersonalToken, StaticToken
from dewy.system import utc


class Issuer:
    """Hands out numbered tokens that last an hour."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.count = 0
        self.down = False

    async def ask(self) -> tuple[str, datetime]:
        await asyncio.sleep(0)
        if self.down:
            raise RemoteError("down")
        self.count += 1
        return f"ghs_{self.count}", utc(self.now + 3600)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def tokens(issuer: Issuer) -> InstallationTokens:
    return InstallationTokens(issuer.ask, lambda: issuer.now)


async def test_personal_token_stays() -> None:
    """There is no other, even if this one was refused."""
    token = StaticToken(PersonalToken("ghp_1", "GH_TOKEN"))
    token.forget()

    assert "ghp_1" == await token.current()


async def test_token_is_reused_until_near_expiry(
    issuer: Issuer, tokens: InstallationTokens
) -> None:
    """Not one per request."""
    assert "ghs_1" == await tokens.current()
    issuer.now += 3300

    assert "ghs_1" == await tokens.current()


async def test_token_is_renewed_before_expiry(
    issuer: Issuer, tokens: InstallationTokens
) -> None:
    """With less than five minutes left it might end on the way."""
    await tokens.current()
    issuer.now += 3301

    assert "ghs_2" == await tokens.current()


async def test_refused_token_is_replaced(
    issuer: Issuer, tokens: InstallationTokens
) -> None:
    """It may have been revoked."""
    await tokens.current()
    tokens.forget()

    assert "ghs_2" == await tokens.current()


async def test_concurrent_requests_share_token(
    issuer: Issuer, tokens: InstallationTokens
) -> None:
    """The registry and a download may start together."""
    assert ["ghs_1"] * 3 == await asyncio.gather(*(tokens.current() for _ in range(3)))


async def test_failure_is_not_remembered(
    issuer: Issuer, tokens: InstallationTokens
) -> None:
    """The next tick asks again."""
    issuer.down = True
    with pytest.raises(RemoteError):
        await tokens.current()
    issuer.down = False

    assert "ghs_1" == await tokens.current()
