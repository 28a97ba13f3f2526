"""Clients of remote services, shared by registries and artifact stores."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Self, TypeVar, cast

__all__ = ["NONSENSE", "Clients"]

T = TypeVar("T")

NONSENSE = (LookupError, TypeError, ValueError, AttributeError)
"""Errors that vendors' clients raise on answers in a form they do not expect."""


class Clients:
    """
    Clients by name, created on first use and closed together.

    Through this the registry and the artifact store of one remote share sessions and
    tokens.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._made: dict[str, object] = {}
        # A lock per name, for making a client may need another one.
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._made.clear()
        await self._stack.aclose()

    async def get(
        self, name: str, make: Callable[[], AbstractAsyncContextManager[T]]
    ) -> T:
        """
        Return the client called *name*; the first time, enter what *make* returns.
        """
        async with self._making[name]:
            if name not in self._made:
                self._made[name] = await self._stack.enter_async_context(make())
        return cast("T", self._made[name])
