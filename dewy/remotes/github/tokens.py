"""The token of an account, renewed in time where it has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from .account import PersonalToken

RENEWED_BEFORE = 300.0
"""Seconds a token must have left to be used for another request."""


class Tokens(Protocol):
    """A source of tokens that will last for a request."""

    async def current(self) -> str:
        """
        Return a valid token; "" where none is shown.

        Raises:
            RemoteError: GitHub gave none.
        """
        ...

    def forget(self) -> None:
        """Drop the current token, which was refused."""
        ...


class LastingToken:
    """A personal token: always the same."""

    def __init__(self, token: PersonalToken) -> None:
        self._token = token

    async def current(self) -> str:
        return self._token.value

    def forget(self) -> None:
        """Keep the token: there is no other."""


class NoToken:
    """The absence of a token, for anonymous requests."""

    async def current(self) -> str:
        return ""

    def forget(self) -> None:
        """Do nothing: there was no token."""


class PassingTokens:
    """
    The tokens of an App's installation, each good for an hour.

    Args:
        ask: Gets a new one, and when it ends.

        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[str, datetime]]],
        wall: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._wall = wall
        self._token = ""
        self._ends = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        async with self._lock:
            if self._ends - self._wall() < RENEWED_BEFORE:
                self._token, ends = await self._ask()
                self._ends = ends.timestamp()
            return self._token

    def forget(self) -> None:
        self._ends = 0.0
