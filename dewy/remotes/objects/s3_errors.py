"""
Errors of S3 and boto3, in dewy's own words.

Of a server's answer only the code is quoted: the rest may hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from botocore import exceptions as aws

from ...errors import AccessRefused, ConfigError, Distrusted, RemoteError
from .. import http
from ..transfer import Interrupted
from .store import NoCredentials

CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this"
    " host a role"
)
CERTIFICATE = (
    "could not be trusted: its TLS handshake or certificate failed;"
    " AWS_CA_BUNDLE names further authorities"
)

_REFUSED = f"these credentials were refused; {CREDENTIALS}"
_CLOCK = "set the clock of this host"
ADVICE: Mapping[str, str] = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "no bucket can have this name",
    "AccessDenied": "these credentials are not permitted; the bucket's policy or IAM "
    "says so",
    "AllAccessDisabled": "the bucket is disabled",
    "InvalidAccessKeyId": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "InvalidToken": _REFUSED,
    "ExpiredToken": f"these credentials have expired; {CREDENTIALS}",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "NotImplemented": "the store does not support this request",
    "403": "these credentials are not permitted; the bucket's policy or IAM says so",
}
RENEWABLE = frozenset(
    {
        "400",  # HEAD has no body that could say ExpiredToken
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "TokenRefreshRequired",
    }
)
"""Codes of refused credentials, beside the status 401 and 403."""

ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
CONFLICT = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
BUSY = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
    }
)
ELSEWHERE = frozenset(
    {
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "301",
    }
)
NOT_FOUND_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)


def code(exc: aws.ClientError) -> str:
    """Return S3's code for the error; the status for an answer without a body."""
    # `Code` may be None.
    stated = str(exc.response.get("Error", {}).get("Code") or "")
    return stated if re.fullmatch(r"[A-Za-z0-9.]{1,64}", stated, re.ASCII) else ""


def status(exc: aws.ClientError) -> int:
    """Return the status of the answer, or 0."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def translated(where: str, expected: frozenset[str] = frozenset()) -> Iterator[None]:
    """
    Turn errors of boto3 into RemoteError, with *where* it was raised.

    Errors with an *expected* code are suppressed.
    """
    try:
        yield
    except aws.ClientError as exc:
        if code(exc) not in expected:
            raise refusal(where, exc) from None
    except NOT_FOUND_CREDENTIALS:
        raise NoCredentials(f"{where}: found no credentials; {CREDENTIALS}") from None
    except aws.BotoCoreError as exc:
        raise failure(where, exc) from None


@contextmanager
def configured(where: str) -> Iterator[None]:
    """Turn errors of boto3's configuration into ConfigError."""
    try:
        yield
    except (aws.BotoCoreError, ValueError) as exc:
        raise ConfigError(_invalid(where, exc)) from None


def _invalid(where: str, exc: Exception) -> str:
    return f"{where}: the configuration of AWS is wrong: {' '.join(str(exc).split())}"


def refusal(where: str, exc: aws.ClientError) -> RemoteError:
    """Return the error for an unexpected answer."""
    name, number = code(exc), status(exc)
    metadata = exc.response.get("ResponseMetadata", {})
    headers = {k.title(): v for k, v in metadata.get("HTTPHeaders", {}).items()}
    delay = http.retry_after(headers)
    if number == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return http.refusal(where, number, headers)
    if name in BUSY or number == HTTPStatus.TOO_MANY_REQUESTS:
        return http.rate_limited(where, number, delay)
    text = f"{where} answered {number} {name}".rstrip()
    if name in ELSEWHERE:
        return RemoteError(f"{text}: {_other_region(exc, headers)}")
    if number >= HTTPStatus.INTERNAL_SERVER_ERROR and name != "NotImplemented":
        return Interrupted(text, retry_after=delay)
    advice = ADVICE.get(name) or ADVICE.get(str(number), "")
    renewable = name in RENEWABLE or number in (401, 403)
    kind = AccessRefused if renewable else RemoteError
    return kind(f"{text}: {advice}" if advice else text, retry_after=delay)


def _other_region(exc: aws.ClientError, headers: Mapping[str, str]) -> str:
    stated = exc.response.get("Error", {}).get("Region") or headers.get(
        "X-Amz-Bucket-Region", ""
    )
    known = re.fullmatch(r"[a-z0-9-]{1,40}", stated, re.ASCII)
    there = f"s3://{stated}/…" if known else "s3://REGION/… with its own"
    return f"the bucket is in another region; write {there}"


def failure(where: str, exc: aws.BotoCoreError) -> RemoteError:
    """Return the error for a request without an answer."""
    match exc:
        case aws.ConfigParseError():
            return RemoteError(_invalid(where, exc))
        case aws.SSLError():
            return Distrusted(f"{where} {CERTIFICATE}")
        case aws.ConnectTimeoutError() | aws.ReadTimeoutError():
            return Interrupted(f"{where} did not answer in time")
        case aws.ProxyConnectionError():
            return Interrupted(http.proxy_trouble(where, exc))
        case aws.EndpointConnectionError():
            return Interrupted(f"{where} could not be reached")
        case aws.HTTPClientError() | aws.IncompleteReadError():
            return Interrupted(f"{where} broke off the connection")
        case _:
            return RemoteError(f"{where} could not be asked ({type(exc).__name__})")
