"""
Errors of Google's client, in dewy's own words.

A server's answer is not quoted: it may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from ...errors import AccessRefused, Distrusted, RateLimited, RemoteError
from .. import http
from ..transfer import Interrupted
from .store import NoCredentials

CREDENTIALS = (
    "set GOOGLE_APPLICATION_CREDENTIALS, run `gcloud auth application-default login`,"
    " or give this host a service account"
)
CERTIFICATE = (
    "could not be trusted: its TLS handshake or certificate failed;"
    " REQUESTS_CA_BUNDLE names other authorities"
)
ADVICE: Mapping[int, str] = {
    401: f"these credentials were refused; {CREDENTIALS}",
    403: "these credentials are not permitted; the bucket's IAM policy says so",
    404: "there is no such bucket",
}
DOWNGRADE = "redirects from https to plain http, where dewy does not go"
FAILURES = (GoogleAPICallError, InvalidResponse)
"""Exceptions for unexpected answers."""

BROKEN = (
    ConnectionError,
    DataCorruption,
    TimeoutError,
    urllib3.exceptions.HTTPError,
)
"""Exceptions of a connection that Google's client lets through."""


class Downgraded(Exception):
    """The server redirected from https to plain http."""


@contextmanager
def translated(where: str, expected: frozenset[int] = frozenset()) -> Iterator[None]:
    """
    Turn errors of Google's client into RemoteError, with *where* it was raised.

    Errors with an *expected* status are suppressed.
    """
    try:
        yield
    except FAILURES as exc:
        if status(exc) not in expected:
            raise refusal(where, exc) from None
    except requests.JSONDecodeError:
        # A RequestException, but not of the connection.
        raise
    except Downgraded:
        raise RemoteError(f"{where} {DOWNGRADE}") from None
    except (auth.GoogleAuthError, requests.RequestException, *BROKEN) as exc:
        raise failure(where, exc) from None


def status(exc: BaseException) -> int:
    """Return the status of the answer, or 0."""
    response: Any = getattr(exc, "response", None)
    number = getattr(response, "status_code", 0) or getattr(exc, "code", 0)
    return int(number or 0)


def refusal(where: str, exc: BaseException) -> RemoteError:
    """Return the error for an unexpected answer."""
    response: Any = getattr(exc, "response", None)
    headers = getattr(response, "headers", None) or {}
    number = status(exc)
    refused = http.refusal(where, number, headers, ADVICE)
    if number >= HTTPStatus.INTERNAL_SERVER_ERROR or number == 408:
        return Interrupted(str(refused), retry_after=refused.retry_after)
    if number in (401, 403) and not isinstance(refused, RateLimited):
        return AccessRefused(str(refused), retry_after=refused.retry_after)
    return refused


def failure(where: str, exc: BaseException) -> RemoteError:
    """Return the error for a request without an answer."""
    match exc:
        case auth.DefaultCredentialsError():
            return NoCredentials(f"{where}: found no credentials; {CREDENTIALS}")
        case auth.RefreshError() if not exc.retryable:
            return AccessRefused(
                f"{where}: these credentials were refused; {CREDENTIALS}"
            )
        case auth.GoogleAuthError():
            return Interrupted(f"{where}: no token could be obtained ({_name(exc)})")
        case requests.exceptions.SSLError():
            return Distrusted(f"{where} {CERTIFICATE}")
        case requests.Timeout() | TimeoutError():
            return Interrupted(f"{where} did not answer in time")
        case requests.exceptions.ProxyError():
            return Interrupted(http.proxy_trouble(where, exc))
        case requests.ConnectionError() if "NewConnection" in repr(exc):
            return Interrupted(f"{where} could not be reached")
        case _:
            return Interrupted(f"{where} broke off the connection")


def _name(exc: BaseException) -> str:
    return type(exc).__name__
