"""Requests to GitHub, with authorisation, deadlines and explained refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Self

import aiohttp
from aiohttp import ClientMiddlewareType
from yarl import URL

from ...errors import AccessRefused, RemoteError
from ...system import Clock
from .. import http
from ..transfer import Interrupted, refusal
from . import answers
from .account import (
    Anonymous,
    App,
    GitHubAccount,
    InstallationTokens,
    NoToken,
    StaticToken,
    Tokens,
)

JSON: Mapping[str, str] = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}
BYTES: Mapping[str, str] = {
    **JSON,
    "Accept": "application/octet-stream",
    "Accept-Encoding": "identity",
}

LARGEST_ANSWER = 64 << 20
"""Maximum bytes of an answer, as a page of 100 releases with many assets each."""

LARGEST_ERROR = 64 << 10
"""Maximum bytes of an error's JSON."""

UNNAMED_LIMIT = 60.0
"""Seconds of a rate limit without a time ("wait for at least one minute")."""


class GitHubAPI:
    """
    Requests on behalf of an account.

    Attributes:
        store: Session for assets, which are not decompressed; only requests to the API
            carry the token.
    """

    store: aiohttp.ClientSession

    def __init__(
        self, account: GitHubAccount, clock: Clock, deadlines: http.Deadlines
    ) -> None:
        self.account = account
        self._clock = clock
        self._deadlines = deadlines
        self._tokens = self._token_source(account)
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = await self._open(decompress=True)
        self.store = await self._open(decompress=False)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _open(self, *, decompress: bool) -> aiohttp.ClientSession:
        authorize = http.bearer(self._tokens.current, self.account.origins)
        return await self._stack.enter_async_context(
            http.session(
                self._deadlines, decompress=decompress, middlewares=[authorize]
            )
        )

    def url(self, path: str) -> URL:
        """Return the URL of *path*, already quoted, below the API's base."""
        return URL(f"{self.account.api}{path}", encoded=True)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        *,
        allowed: Sequence[int] = (HTTPStatus.OK,),
        headers: Mapping[str, str] = JSON,
        body: bytes | None = None,
        session: aiohttp.ClientSession | None = None,
        middlewares: Sequence[ClientMiddlewareType] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        Send a request; the deadline includes the block, which reads the answer.

        Raises:
            Interrupted: the server did not answer in time, or failed.
            RemoteError: the status is not *allowed*.
        """
        session = session or self._session
        with http.translated(self.account.host, Interrupted):
            async with (
                asyncio.timeout(self._deadlines.answer),
                session.request(
                    method, url, headers=headers, data=body, middlewares=middlewares
                ) as response,
            ):
                if response.status not in allowed:
                    raise await self.refusal(response)
                yield response

    async def json(self, response: aiohttp.ClientResponse) -> object:
        """Return the JSON document in *response*."""
        body = await http.read(response, LARGEST_ANSWER)
        return http.parse(self.account.host, body)

    async def refusal(self, response: aiohttp.ClientResponse) -> RemoteError:
        """Return the error for *response*, of GitHub or of its storage of assets."""
        host, status, headers = self.account.host, response.status, response.headers
        if response.url.origin() not in self.account.origins:
            return refusal(host, status, headers, self.advice)
        if status == HTTPStatus.UNAUTHORIZED:
            self._tokens.forget()
        if status in (403, 429) and http.retry_after(headers) is None:
            text = answers.message(await self._error_document(response))
            if status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in text:
                return http.rate_limited(host, status, UNNAMED_LIMIT)
        refused = refusal(host, status, headers, self.advice)
        if status == HTTPStatus.UNAUTHORIZED:
            return AccessRefused(str(refused), retry_after=refused.retry_after)
        return refused

    async def _error_document(self, response: aiohttp.ClientResponse) -> object:
        try:
            body = await http.read(response, LARGEST_ERROR)
            return http.parse(self.account.host, body)
        except RemoteError:
            return None

    @property
    def advice(self) -> dict[int, str]:
        """Remedies by status."""
        source = self.account.credentials.source
        if isinstance(self.account.credentials, Anonymous):
            return {
                401: f"it wants {source}",
                403: f"it wants {source}; without, it answers 60 requests an hour",
                404: f"no such thing, or a private one: then it wants {source}"
                f"{self._base_hint()}",
            }
        return {
            401: f"check {source}",
            403: f"{source} may not do this",
            404: f"no such thing, or {source} may not see it{self._base_hint()}",
            422: "refused as it is; a release holds 1000 assets at most",
        }

    def _base_hint(self) -> str:
        if self.account.api == self.account.app_api:
            return ""
        return "; GitHub Enterprise has its API below /api/v3/"

    def _token_source(self, account: GitHubAccount) -> Tokens:
        credentials = account.credentials
        if isinstance(credentials, Anonymous):
            return NoToken()
        if not isinstance(credentials, App):
            return StaticToken(credentials)
        self._app = credentials
        return InstallationTokens(self._token, self._clock.wall)

    async def _token(self) -> tuple[str, datetime]:
        """Request a token; after a refusal once more, if the file has another key."""
        try:
            return await self._installation_token(self._app)
        except AccessRefused:
            renewed = await self._app.renewed()
            if renewed is None:
                raise
        self._app = renewed
        return await self._installation_token(renewed)

    async def _installation_token(self, app: App) -> tuple[str, datetime]:
        async def jwt() -> str:
            return app.jwt(self._clock.wall())

        url = URL(f"{self.account.app_api}{app.token_path}", encoded=True)
        authorize = http.bearer(jwt, {self.account.api.origin()})
        async with self.request(
            "POST",
            url,
            allowed=(HTTPStatus.CREATED,),
            middlewares=http.chain(authorize),
        ) as response:
            return answers.token(self.account.host, await self.json(response))
