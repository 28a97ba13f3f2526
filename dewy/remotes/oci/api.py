"""
Requests to an image registry and its token server.

Only requests to the registry's own origin carry credentials. Redirects are followed
without them, and challenges of other hosts are ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Self

import aiohttp
from aiohttp import ClientHandlerType
from multidict import CIMultiDictProxy
from yarl import URL

from ...errors import RemoteError
from ...system import Clock
from .. import http
from .credentials import Credentials
from .login import credentials_for
from .reference import Reference
from .tokens import (
    Authorization,
    Challenge,
    Grant,
    TokenRequest,
    challenges,
    how_to_log_in,
    token_in,
)

__all__ = ["RegistryAPI", "RegistryRequest", "RegistryResponse"]

LARGEST_TOKEN = 1 << 20
"""Maximum bytes of a token server's answer."""


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """
    A request to a registry.

    Attributes:
        allowed: The expected statuses; others raise RemoteError.

        limit: Maximum bytes of the body.
    """

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    allowed: Collection[int] = (HTTPStatus.OK,)
    limit: int = 0


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """A registry's response; the body is read only if the status is `allowed`."""

    status: int
    headers: CIMultiDictProxy[str]
    url: URL
    body: bytes = field(default=b"", repr=False)


class RegistryAPI:
    """
    Sender of requests, with the credentials that are found for a registry.

    Args:
        environ: The environment, for the search for credentials.
    """

    def __init__(
        self, environ: Mapping[str, str], clock: Clock, deadlines: http.Deadlines
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._deadlines = deadlines
        self._authorizations: dict[Reference, Authorization] = {}
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(
            http.session(self._deadlines)
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def send(
        self, reference: Reference, request: RegistryRequest
    ) -> RegistryResponse:
        """
        Return the response to *request*, which is about *reference*.

        After a 401 the request is sent once more with a new token, and after a 403 if
        the credentials have changed.

        Raises:
            RemoteError: the registry did not answer, or the status is not allowed.
            RateLimited: the registry limits the rate of requests.
        """
        authorization = self._authorization(reference)
        header = await authorization.header()
        answer = await self._send(reference, request, header)
        if await _has_new_authorization(authorization, header, reference, answer):
            answer = await self._send(reference, request, await authorization.header())
        if answer.status not in request.allowed:
            raise _refusal(reference, answer, authorization.found)
        return answer

    async def _send(
        self, reference: Reference, request: RegistryRequest, authorization: str
    ) -> RegistryResponse:
        origin = reference.origin

        async def authorize(
            message: aiohttp.ClientRequest, send: ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if authorization and message.url.origin() == origin:
                message.headers["Authorization"] = authorization
            return await send(message)

        with http.translated(reference.host):
            async with (
                asyncio.timeout(self._deadlines.answer),
                self._session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    middlewares=http.chain(authorize),
                ) as response,
            ):
                read = response.status in request.allowed
                body = await http.read(response, request.limit) if read else b""
                return RegistryResponse(
                    response.status, response.headers, response.url, body
                )

    def _authorization(self, reference: Reference) -> Authorization:
        if reference not in self._authorizations:
            self._authorizations[reference] = Authorization(
                reference,
                partial(credentials_for, reference.host, self._environ),
                self._token,
                self._clock,
            )
        return self._authorizations[reference]

    async def _token(self, request: TokenRequest) -> Grant:
        host = request.url.host or ""
        headers = {"Accept": "application/json"}
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with http.translated(host):
            async with (
                asyncio.timeout(self._deadlines.answer),
                self._session.request(
                    "POST" if request.body else "GET",
                    request.url,
                    headers=headers,
                    data=request.body or None,
                    # Credentials are for the host in the realm alone.
                    allow_redirects=False,
                ) as response,
            ):
                if response.status != HTTPStatus.OK:
                    raise _refused_token(request, response)
                body = await http.read(response, LARGEST_TOKEN, "a token")
        return token_in(host, http.parse(host, body))


def _refused_token(
    request: TokenRequest, response: aiohttp.ClientResponse
) -> RemoteError:
    advice = dict.fromkeys((400, 401, 403), request.advice)
    host = request.url.host or ""
    return http.refusal(host, response.status, response.headers, advice)


async def _has_new_authorization(
    authorization: Authorization,
    header: str,
    reference: Reference,
    answer: RegistryResponse,
) -> bool:
    """Return whether there is another authorisation to try after *answer*."""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return await authorization.refused(header, _offered(reference, answer))
    own = answer.url.origin() == reference.origin
    return (
        own
        and answer.status == HTTPStatus.FORBIDDEN
        and bool(header)
        and (await authorization.renewed(header))
    )


def _offered(reference: Reference, answer: RegistryResponse) -> tuple[Challenge, ...]:
    """Return the challenges in *answer*, if it is from the registry's origin."""
    if answer.url.origin() != reference.origin:
        return ()
    return challenges(answer.headers.getall("WWW-Authenticate", ()))


def _refusal(
    reference: Reference, answer: RegistryResponse, credentials: Credentials | None
) -> RemoteError:
    if answer.url.origin() != reference.origin:
        return http.refusal(str(answer.url.host), answer.status, answer.headers)
    log_in = how_to_log_in(reference, credentials)
    source = credentials.source if credentials else ""
    failures = credentials.failures if credentials else ()
    hidden = f"it has no {reference.path}, or does not show it"
    advice = {
        401: log_in,
        403: f"{source} may not read {reference.path}" if source else log_in,
        404: "; ".join((hidden, *failures)),
    }
    return http.refusal(reference.host, answer.status, answer.headers, advice)
