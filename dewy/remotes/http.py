"""
HTTP sessions with deadlines, and errors in dewy's own words.

No message quotes what a server sends, nor more of a URL than its host: both may hold
secrets.
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

# Others are not quoted: OpenSSL's errors have numbers of their own.
_LOST = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH})

MAX_RETRY_AFTER = 3600.0
"""Maximum of `retry_after` in seconds, whatever a server asks for."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """
    Deadlines for a server, in seconds.

    Attributes:
        connect: Time for a connection, the TLS handshake included.

        silence: Time without a byte of the answer.

        answer: Time for the whole answer; for downloads, whose size is open, only the
            other two count.
    """

    connect: float = 10.0
    silence: float = 30.0
    answer: float = 60.0


STANDARD = Deadlines()
"""The deadlines in production."""


@asynccontextmanager
async def session(
    deadlines: Deadlines = STANDARD,
    *,
    decompress: bool = True,
    middlewares: Sequence[ClientMiddlewareType] = (),
) -> AsyncIterator[aiohttp.ClientSession]:
    """
    Open a session that uses proxies and `.netrc`, and keeps no cookies.

    Args:
        decompress: Whether to decode bodies; lengths and digests are published of the
            encoded ones.

        middlewares: Middlewares for every request, as `chain` takes them.
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
        # Another quoting would invalidate a signed URL.
        requote_redirect_url=False,
        middlewares=chain(*middlewares),
    ) as opened:
        yield opened


def chain(*own: ClientMiddlewareType) -> tuple[ClientMiddlewareType, ...]:
    """
    Return the standard middlewares with *own* ones among them.

    aiohttp lets those of a request replace those of its session.
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
    """A server redirected from https to plain http."""


async def refuse_downgrade(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send *request*, refusing redirects from https to plain http.

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
    Return a middleware that adds the bearer token, unless it is "", to requests to
    *origins* alone, so that redirects elsewhere do not carry it.
    """

    async def authorize(
        request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.origin() in origins and (value := await token()):
            request.headers["Authorization"] = f"Bearer {value}"
        return await send(request)

    return authorize


@contextmanager
def translated(host: str, error: type[RemoteError] = RemoteError) -> Iterator[None]:
    """Turn errors of aiohttp into *error*, with *host* and its failure."""
    try:
        yield
    except ProxyError as exc:
        raise error(str(exc)) from None
    except (aiohttp.ClientError, TimeoutError) as exc:
        # No use in another attempt: it would be redirected again.
        kind = RemoteError if isinstance(exc, Downgraded) else error
        # Not `from exc`: aiohttp's texts quote whole URLs, signatures included.
        raise kind(f"{host} {_failure(exc)}") from None


def broke_off(exc: BaseException) -> str:
    """Return how the connection ended, by the exception of a client."""
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


def _failure(exc: Exception) -> str:
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
    Return the error for an answer with an unexpected *status*.

    429 is a rate limit, and so is a 403 with a time for the next attempt.

    Args:
        advice: Remedies by status, for the message.
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
    """Return whether the error *text* of a library has a proxy's status 407."""
    # As a word: ports and the addresses of Python objects contain these digits, too.
    return re.search(r"(?<!\S)407(?!\w)", text) is not None


def proxy_trouble(host: str, exc: Exception) -> str:
    """Return the message for *exc*, a library's error of the proxy to *host*."""
    # botocore keeps the reason apart from the text.
    reason = getattr(exc, "kwargs", {}).get("error") or exc
    if wants_login(str(reason)):
        return f"the proxy to {host} answered 407: {LOGIN}"
    return f"the proxy to {host} could not be reached, or does not connect to it"


def rate_limited(host: str, status: int, delay: float | None) -> RateLimited:
    """Return the error for a rate limit of *host*."""
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
    Return after how many seconds the server wants the next request; None if unstated.

    Reads `Retry-After` (RFC 9110, section 10.2.3: seconds or a date), else GitHub's
    `X-RateLimit-Reset` if `X-RateLimit-Remaining` is 0. Dates are relative to the
    server's own `Date`, so that a wrong clock here does no harm.
    """
    stated = headers.get("Retry-After", "").strip()
    delay = _number(stated)
    if delay is None:
        moment = timestamp(stated)
        if moment is None and headers.get("X-RateLimit-Remaining", "").strip() == "0":
            moment = _number(headers.get("X-RateLimit-Reset", "").strip())
        if moment is None:
            return None
        delay = moment - (timestamp(headers.get("Date", "")) or time.time())
    return min(max(delay, 0.0), MAX_RETRY_AFTER)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None


def timestamp(date: str) -> float | None:
    """Return an HTTP date in seconds since the epoch; None if it is malformed."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


async def read(
    response: aiohttp.ClientResponse, limit: int, what: str = "an answer"
) -> bytes:
    """
    Return the body of *response*.

    Args:
        what: The body's name for the message.

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
        RemoteError: *body* is not JSON.
    """
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteError(f"{host} answered with something that is not JSON") from None
    return document


MAX_HOSTS = 50
"""Maximum number of hosts in the metrics: redirects may lead to any number."""

OTHERS = "others"
FAILED = "failed"


class HTTPMetrics:
    """
    Counters of the requests to remote services.

    Attributes:
        requests: Numbers of requests by host and status; the status is `failed` for
            those without an answer, and the host `others` beyond `MAX_HOSTS`.

        remaining: Numbers of requests that hosts still allow, by their last
            `X-RateLimit-Remaining`.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.remaining: dict[str, int] = {}
        self._hosts: set[str] = set()

    async def count(
        self, request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send *request* and count it, as a middleware that sees each redirect."""
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
        if host not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            return OTHERS
        self._hosts.add(host)
        return host


TRAFFIC = HTTPMetrics()
"""The metrics of this process."""
