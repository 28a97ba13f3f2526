"""Errors of gRPC calls, in dewy's own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from grpc import StatusCode
from yarl import URL

from ...errors import RateLimited, RemoteError
from ..env_proxy import LOGIN, shown
from ..http import LONGEST_STAY_AWAY
from .endpoint import GRPCTarget
from .proxy import proxy_of

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

LARGEST = 4 << 20
"""Bytes of an answer."""

TOO_LARGE = "message larger than max"
"""The words of gRPC's libraries for a message above their limit."""

PUSHBACK = "grpc-retry-pushback-ms"

# The C core's messages about a connection that it could not make, in this order.
_UNREACHABLE = (
    ("WRONG_VERSION_NUMBER", "speaks no TLS: add ?no-tls=true if that is meant"),
    (
        "Hostname Verification Check failed",
        "has a certificate of another name than the one in the URL",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "has a certificate that is not trusted: name its authority with ca=",
    ),
    (
        "certificate signature failure",
        "has a certificate that is not trusted: name its authority with ca=",
    ),
    ("handshake", "could not be trusted: its TLS handshake failed"),
    ("refused", "could not be reached: connection refused"),
    ("unreachable", "could not be reached: no route to it"),
    ("resol", "is a name that could not be resolved"),
    ("lookup", "is a name that could not be resolved"),
    ("timeout", "could not be reached in time"),
    ("timed out", "could not be reached in time"),
)
_CONNECTING = ("failed to connect", "errors resolving", "DNS resolution")
_ANSWERS = {
    StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
    StatusCode.UNAUTHENTICATED: "does not know us: check cert= and key=",
    StatusCode.PERMISSION_DENIED: "does not let us: check what cert= stands for",
    StatusCode.UNIMPLEMENTED: "knows no dewy.RegistryService: is the address right?",
    StatusCode.INVALID_ARGUMENT: "does not take what it was asked",
}


def refusal(
    endpoint: GRPCTarget, code: StatusCode, details: str, metadata: Metadata
) -> RemoteError:
    """
    Return the error for a call of *endpoint* that ended with *code*.

    *details* are looked at only where they are our own C core's; what a server
    sends is never quoted.
    """
    where = str(endpoint)
    if code is StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details.lower():
        return RemoteError(
            f"{where} sends an answer of more than {LARGEST >> 20} MiB; what dewy asks "
            "for takes a few hundred bytes"
        )
    if code is StatusCode.RESOURCE_EXHAUSTED:
        delay = _pushback(metadata)
        until = "later" if delay is None else f"in {delay:.0f} s"
        text = f"{where} is asked too often: ask again {until}"
        return RateLimited(text, retry_after=delay)
    if code is StatusCode.UNAVAILABLE:
        return RemoteError(
            f"{where} {_unavailable(endpoint, details)}",
            retry_after=_pushback(metadata),
        )
    return RemoteError(f"{where} {_ANSWERS.get(code, f'answered {code.name}')}")


def _unavailable(endpoint: GRPCTarget, details: str) -> str:
    if not details.startswith(_CONNECTING):
        return "is not available, or broke the connection off"
    proxy = proxy_of(endpoint.address)
    if proxy and "HTTP proxy returned" in details:
        return _refused_by(proxy, details)
    for sign, meaning in _UNREACHABLE:
        if sign.lower() in details.lower():
            return f"{meaning}, through {shown(proxy)}" if proxy else meaning
    return f"closed the connection: {_doubt(endpoint)}"


def _refused_by(proxy: URL, details: str) -> str:
    login = f": {LOGIN}" if "407" in details else ""
    return f"could not be reached: {shown(proxy)} does not connect to it{login}"


def _doubt(endpoint: GRPCTarget) -> str:
    """Return a guess at what a server may have missed that would not say so."""
    if not endpoint.tls:
        return "does it want TLS? then leave no-tls out"
    if not endpoint.cert:
        return "does it want a client certificate? then add cert= and key="
    return "does it trust the client certificate of cert=?"


def _pushback(metadata: Metadata) -> float | None:
    """Seconds to stay away, as gRPC has servers tell it (proposal A6)."""
    for name, value in metadata:
        if name == PUSHBACK and isinstance(value, str) and value.isdecimal():
            return min(int(value) / 1000, LONGEST_STAY_AWAY)
    return None
