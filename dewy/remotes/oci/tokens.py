"""
Authorisation of requests for a repository.

Credentials are sent only after a challenge, as Basic or for a bearer token
(distribution.github.io, "Token Authentication Specification"), and the answer is used
until it expires or is refused.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from ...errors import RemoteError
from ...system import Clock
from .credentials import Credentials
from .reference import Reference, is_loopback

__all__ = [
    "Authorization",
    "Challenge",
    "Grant",
    "TokenRequest",
    "challenges",
    "how_to_log_in",
    "preferred",
    "request_for",
    "token_in",
]

FRESH = 300.0
"""Seconds after which credentials are looked up again, for some of them expire."""

UNSTATED = 60.0
"""Lifetime in seconds of a token without `expires_in`, by the specification."""

MAX_LIFETIME = 86400.0
"""Maximum lifetime in seconds of a token, whatever its server states."""

MARGIN = 5.0
"""Minimum seconds that a token has left when it is used."""

CLIENT = "dewy"

Find = Callable[[], Awaitable[Credentials | None]]
"""Returns the credentials for the registry, or None."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """
    A request for a token.

    Attributes:
        body: The body of a POST; "" for a GET.

        authorization: The value of `Authorization`, or "".

        advice: The remedy if the request is refused.
    """

    url: URL
    body: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and its lifetime in seconds from now."""

    token: str = field(repr=False)
    lasts: float = UNSTATED


Ask = Callable[[TokenRequest], Awaitable[Grant]]


class Authorization:
    """
    The authorisation of requests for *reference*.

    Args:
        find: Looks up credentials.

        ask: Requests a token.
    """

    def __init__(
        self, reference: Reference, find: Find, ask: Ask, clock: Clock
    ) -> None:
        self._reference = reference
        self._find = find
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        self._challenge: Challenge | None = None
        self._header = ""
        self._expires = 0.0
        self._found: Credentials | None = None
        self._looked_up_at: float | None = None

    @property
    def found(self) -> Credentials | None:
        """The credentials last found; None for none."""
        return self._found

    async def header(self) -> str:
        """
        Return the value of `Authorization` for the next request, or "".

        Raises:
            RemoteError: the token has expired, and no other can be obtained.
        """
        async with self._lock:
            if self._challenge and self._clock.monotonic() >= self._expires:
                await self._answer(self._challenge)
            return self._header

    async def refused(self, header: str, offered: Iterable[Challenge]) -> bool:
        """
        Answer the challenges *offered* by a 401 to *header*; return whether another
        request may succeed.

        Raises:
            RemoteError: no token can be obtained.
        """
        async with self._lock:
            if header != self._header:
                return True  # renewed meanwhile for another request
            challenge = preferred(offered)
            if challenge is None:
                return False
            if header or self._found is None or self._found.anonymous:
                self._looked_up_at = None
            await self._answer(challenge)
            return bool(self._header) and (
                challenge.scheme == "bearer" or self._header != header
            )

    async def renewed(self, header: str) -> bool:
        """
        Look up credentials again after a 403 to *header*; return whether another
        request may succeed.

        Some registries answer 403 to credentials that have expired.

        Raises:
            RemoteError: no token can be obtained.
        """
        async with self._lock:
            if header != self._header:
                return True
            challenge, before = self._challenge, self._found
            if challenge is None or before is None:
                return False
            self._looked_up_at = None
            if await self._credentials() == before:
                return False
            await self._answer(challenge)
            return self._header not in ("", header)

    async def _answer(self, challenge: Challenge) -> None:
        """Answer *challenge*; after a failure once more, if credentials changed."""
        cached = self._found if self._is_fresh() else None
        try:
            await self._answer_once(challenge)
        except RemoteError:
            if cached is None or await self._credentials() == cached:
                raise
            await self._answer_once(challenge)

    async def _answer_once(self, challenge: Challenge) -> None:
        self._header = ""
        credentials = await self._credentials()
        if challenge.scheme == "basic":
            self._header = _basic(credentials)
            self._expires = self._clock.monotonic() + FRESH
        else:
            request = request_for(self._reference, challenge, credentials)
            await self._get_token(request)
        self._challenge = challenge

    async def _get_token(self, request: TokenRequest) -> None:
        asked = self._clock.monotonic()
        try:
            grant = await self._ask(request)
        except RemoteError:
            self._looked_up_at = None  # look up credentials again the next time
            raise
        self._header = f"Bearer {grant.token}"
        self._expires = asked + max(grant.lasts - MARGIN, 0.0)

    async def _credentials(self) -> Credentials | None:
        if not self._is_fresh():
            now = self._clock.monotonic()
            self._found = await self._find()
            self._looked_up_at = now
        return self._found

    def _is_fresh(self) -> bool:
        at = self._looked_up_at
        return at is not None and self._clock.monotonic() - at < FRESH


def request_for(
    reference: Reference, challenge: Challenge, credentials: Credentials | None
) -> TokenRequest:
    """
    Return the request for a token that *challenge* asks for.

    Raises:
        RemoteError: the challenge's realm is no URL, or not safe for credentials.
    """
    realm = _realm(reference, challenge.parameters["realm"])
    wanted = {
        "service": challenge.parameters.get("service", reference.origin.host or ""),
        "scope": challenge.parameters.get("scope")
        or f"repository:{reference.path}:pull",
    }
    advice = how_to_log_in(reference, credentials)
    if credentials and credentials.token:
        grant = {"grant_type": "refresh_token", "refresh_token": credentials.token}
        body = urlencode({**grant, "client_id": CLIENT, **wanted})
        return TokenRequest(realm, body=body, advice=advice)
    return TokenRequest(
        realm.extend_query(wanted), authorization=_basic(credentials), advice=advice
    )


def how_to_log_in(reference: Reference, credentials: Credentials | None) -> str:
    """
    Return the remedy for refused or missing *credentials*, with what failed in the
    search for them.
    """
    advice = (
        f"docker login {reference.host}, or set DOCKER_USERNAME and DOCKER_PASSWORD"
    )
    if credentials and credentials.source:
        advice = f"check {credentials.source}"
    return "; ".join((advice, *(credentials.failures if credentials else ())))


def _basic(credentials: Credentials | None) -> str:
    if credentials is None or not credentials.username:
        return ""
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _realm(reference: Reference, text: str) -> URL:
    try:
        url = URL(text)
        valid = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        url, valid = URL(), False
    if not valid or url.user is not None:
        raise RemoteError(f"{reference.host} names no URL for tokens")
    if url.scheme == "http" and not _may_be_plain(reference, url.host or ""):
        raise RemoteError(
            f"{reference.host} refers for tokens to {url.host} by plain http; nothing"
            " was sent there (its realm should be https)"
        )
    return url.with_fragment(None)


def _may_be_plain(reference: Reference, realm: str) -> bool:
    """Return whether *realm* may get credentials by http: by option, or on loopback."""
    return bool(reference.insecure) or (reference.loopback and is_loopback(realm))


def token_in(host: str, document: object) -> Grant:
    """
    Return the token in the answer of the token server *host*.

    Raises:
        RemoteError: *document* holds no token.
    """
    fields: Any = document if isinstance(document, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise RemoteError(f"{host} answered with something that is not a token")
    lasts = fields.get("expires_in")
    known = isinstance(lasts, int | float) and lasts > 0
    return Grant(token, float(min(lasts, MAX_LIFETIME)) if known else UNSTATED)


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SKIPPED = re.compile(r"[\s,]*")
_PARAMETER = re.compile(
    rf"""({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[\s,]|\Z)""", re.DOTALL
)
# A token68 in place of parameters (RFC 9110, section 11.2), as of Negotiate.
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|\Z)")
_SCHEME = re.compile(rf"({_TOKEN})(?:\s+|(?=,|\Z))")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    A challenge of a 401 (RFC 9110, section 11.3).

    Attributes:
        scheme: `bearer`, `basic` …, in lower case.

        parameters: Parameters by lower-case name; of repeated ones the first counts.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """
    Return all challenges in the values of `WWW-Authenticate`, in their order.

    The rest of a value from its first malformed part on is ignored.
    """
    return tuple(challenge for header in headers for challenge in _parse(header))


def preferred(offered: Iterable[Challenge]) -> Challenge | None:
    """Return the challenge to answer: Bearer with a realm, else Basic; or None."""
    known = list(offered)
    tokens = [c for c in known if c.scheme == "bearer" and c.parameters.get("realm")]
    basic = [c for c in known if c.scheme == "basic"]
    return next(iter(tokens + basic), None)


def _parse(header: str) -> Iterator[Challenge]:
    at = _skip(header, 0)
    while scheme := _SCHEME.match(header, at):
        parameters, at = _parameters(header, scheme.end())
        yield Challenge(scheme[1].lower(), parameters)


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    """Return the parameters at offset *at*, and the offset of the next challenge."""
    found: dict[str, str] = {}
    if opaque := _TOKEN68.match(header, at):
        return found, _skip(header, opaque.end())
    while parameter := _PARAMETER.match(header, at):
        name, quoted, plain = parameter.groups()
        value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        found.setdefault(name.lower(), value)
        at = _skip(header, parameter.end())
    return found, _skip(header, at)


def _skip(header: str, at: int) -> int:
    match = _SKIPPED.match(header, at)
    return match.end() if match else at
