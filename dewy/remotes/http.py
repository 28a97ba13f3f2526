"""
HTTP as dewy speaks it: sessions with deadlines, and failures in our own words.

What a server sends is never quoted in a message, and neither is more of a URL
than its host: both may hold secrets.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType
from yarl import URL

from .. import __version__
from ..errors import RateLimited, RemoteError
from . import authorities
from .env_proxy import LOGIN, ProxyError, no_connection, through_proxy
from .netrc import log_in

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Of TLS the numbers mean something else.
_LOST = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH})

LONGEST_STAY_AWAY = 3600.0
"""Seconds; nobody keeps us away for longer, however far off its clock is."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """
    The deadlines for a server, in seconds.

    Attributes:
        connect: To accept a connection, its TLS handshake included.

        silence: Between two pieces of an answer.

        answer: For a whole answer; downloads, whose size is anyone's guess,
            know only the other two.
    """

    connect: float = 10.0
    silence: float = 30.0
    answer: float = 60.0


STANDARD = Deadlines()
"""The deadlines for every server."""


@asynccontextmanager
async def session(
    deadlines: Deadlines = STANDARD,
    *,
    decompress: bool = True,
    middlewares: Sequence[ClientMiddlewareType] = (),
) -> AsyncIterator[aiohttp.ClientSession]:
    """
    Open a session that honours proxies and `.netrc` and keeps no cookies.

    Without *decompress* bodies arrive as they are stored, which is what has a
    published length and digest.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=authorities.of_this_host().context),
        headers={"User-Agent": f"dewy/{__version__}"},
        timeout=aiohttp.ClientTimeout(
            total=None,
            connect=2 * deadlines.connect,
            sock_connect=deadlines.connect,
            sock_read=deadlines.silence,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=decompress,
        # A signed URL is only good when it is followed letter by letter.
        requote_redirect_url=False,
        middlewares=chain(*middlewares),
    ) as opened:
        yield opened


def chain(*own: ClientMiddlewareType) -> tuple[ClientMiddlewareType, ...]:
    """
    Return the middlewares of a request with its *own* ones.

    Those of a request take the place of its session's.
    """
    return (
        refuse_downgrade,
        TRAFFIC.count,
        *own,
        through_proxy,
        log_in,
        authorities.read_again,
    )


class Downgraded(aiohttp.ClientError):
    """A server redirects from https to plain http."""


async def refuse_downgrade(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send *request*; raise where the answer leads from https down to plain text.

    Raises:
        Downgraded: the answer is such a redirect.
    """
    answer = await send(request)
    if request.url.scheme == "https" and answer.status in REDIRECTS:
        target = answer.headers.get("Location") or answer.headers.get("URI") or ""
        if _scheme(target) == "http":
            answer.close()
            raise Downgraded
    return answer


def _scheme(target: str) -> str:
    try:
        return URL(target.strip(), encoded=True).scheme
    except ValueError:
        return ""


def bearer(
    token: Callable[[], Awaitable[str]], origins: Collection[URL]
) -> ClientMiddlewareType:
    """
    Put a token, unless it is empty, on requests to *origins*, and on those of no
    redirect elsewhere.
    """

    async def authorize(
        request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.origin() in origins and (shown := await token()):
            request.headers["Authorization"] = f"Bearer {shown}"
        return await send(request)

    return authorize


@contextmanager
def translated(host: str, error: type[RemoteError] = RemoteError) -> Iterator[None]:
    """Turn what aiohttp raises into *error*, naming *host* and what it did."""
    try:
        yield
    except ProxyError as exc:
        raise error(str(exc)) from None
    except (aiohttp.ClientError, TimeoutError) as exc:
        # Asked again, it would lead there again.
        kind = RemoteError if isinstance(exc, Downgraded) else error
        # Not `from exc`: aiohttp's texts quote whole URLs, signatures included.
        raise kind(f"{host} {_complaint(exc)}") from None


def broke_off(exc: BaseException) -> str:
    """Return how a server ended the connection, by what a client raised."""
    match exc:
        case aiohttp.ServerDisconnectedError():
            return "broke off the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "broke off the connection in the middle of its answer"
        case aiohttp.ClientResponseError():
            return "answered with something that is not HTTP"
        case OSError(errno=number) if number in _LOST:
            return f"broke off the connection: {os.strerror(number).lower()}"
        case _:
            return "broke off the connection"


def _complaint(exc: Exception) -> str:
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return "is a name that could not be resolved"
        case aiohttp.ClientSSLError():
            return "could not be trusted: its TLS handshake or certificate failed"
        case aiohttp.ClientConnectorError():
            return f"could not be reached: {no_connection(exc.os_error)}"
        case TimeoutError():
            return "did not answer in time"
        case Downgraded():
            return "redirects from https to plain http, where dewy does not go"
        case aiohttp.TooManyRedirects():
            return "redirected too often"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "redirected to something that is no http URL"
        case _:
            return broke_off(exc)


def refusal(
    host: str,
    status: int,
    headers: Mapping[str, str],
    advice: Mapping[int, str] | None = None,
) -> RemoteError:
    """
    Return the error for an answer that is not the one asked for.

    *advice* says what to do about a status. 429, and a 403 that names a time
    to come back, are rate limits.
    """
    delay = retry_after(headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (
        status == HTTPStatus.FORBIDDEN and delay is not None
    ):
        return rate_limited(host, status, delay)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return RemoteError(f"the proxy to {host} answered {status}: {LOGIN}")
    hint = (advice or {}).get(status, "")
    text = f"{host} answered {status} {_phrase(status)}".rstrip()
    return RemoteError(f"{text}: {hint}" if hint else text, retry_after=delay)


def wants_login(text: str) -> bool:
    """Return whether *text* of a library tells of a proxy's status 407."""
    # A word of its own: the addresses of objects and ports have these digits, too.
    return re.search(r"(?<!\S)407(?!\w)", text) is not None


def proxy_trouble(host: str, exc: Exception) -> str:
    """Say what the proxy to *host* did, by *exc* of a library that speaks to it."""
    # botocore keeps the reason apart from its text.
    reason = getattr(exc, "kwargs", {}).get("error") or exc
    if wants_login(str(reason)):
        return f"the proxy to {host} answered 407: {LOGIN}"
    return f"the proxy to {host} could not be reached, or does not connect to it"


def rate_limited(host: str, status: int, delay: float | None) -> RateLimited:
    """Return the error for having asked *host* too often."""
    until = "later" if delay is None else f"in {delay:.0f} s"
    return RateLimited(
        f"{host} answered {status}: rate limit reached, ask again {until}",
        retry_after=delay,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Seconds the server asks us to stay away, or None where it does not.

    Reads `Retry-After` (RFC 9110 §10.2.3, seconds or a date), else GitHub's
    `X-RateLimit-Reset` when `X-RateLimit-Remaining` is 0. Moments are compared
    with the server's own `Date`, so that our clock may be wrong.
    """
    stated = headers.get("Retry-After", "").strip()
    delay = _number(stated)
    if delay is None:
        moment = _moment(stated)
        if moment is None and headers.get("X-RateLimit-Remaining", "").strip() == "0":
            moment = _number(headers.get("X-RateLimit-Reset", "").strip())
        if moment is None:
            return None
        delay = moment - (_moment(headers.get("Date", "")) or time.time())
    return min(max(delay, 0.0), LONGEST_STAY_AWAY)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


async def read(
    response: aiohttp.ClientResponse, limit: int, what: str = "an answer"
) -> bytes:
    """
    Return the body of *response*, which is *what*.

    Raises:
        RemoteError: the body is larger than *limit* bytes.
    """
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > limit:
            raise RemoteError(f"{response.url.host}: {what} exceeds {limit} bytes")
    return bytes(body)


def parse(host: str, body: bytes) -> object:
    """
    Return the JSON document in *body*.

    Raises:
        RemoteError: *body* is something else.
    """
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteError(f"{host} answered with something that is not JSON") from None
    return document


MOST = 50
"""Hosts that are told apart: redirects may lead to any number of them."""

OTHERS = "others"
FAILED = "failed"


class HTTPMetrics:
    """
    Attributes:
        requests: The numbers of requests, by host and status; `failed` stands for those
            without an answer.

        remaining: The numbers of requests that hosts still allow for now, where they
            say so.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.remaining: dict[str, int] = {}
        self._hosts: set[str] = set()

    async def count(
        self, request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Return a middleware of sessions; redirects are requests as well."""
        host = self._name(request.url.host or "")
        try:
            answer = await send(request)
        except (aiohttp.ClientError, OSError):
            self.requests[host, FAILED] += 1
            raise
        self.requests[host, str(answer.status)] += 1
        left = answer.headers.get("X-RateLimit-Remaining", "")
        if left.isascii() and left.isdigit() and len(left) < 10:
            self.remaining[host] = int(left)
        return answer

    def _name(self, host: str) -> str:
        if host not in self._hosts and len(self._hosts) >= MOST:
            return OTHERS
        self._hosts.add(host)
        return host


TRAFFIC = HTTPMetrics()
"""The metrics of this process."""
