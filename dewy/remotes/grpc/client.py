"""Client of a `dewy.RegistryService`, and the errors of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeAlias, TypeVar

import grpc.aio
from grpc import StatusCode
from yarl import URL

from ...errors import DewyError, NoRelease, RateLimited, RemoteError
from .. import Clients
from ..env_proxy import LOGIN, shown
from ..http import MAX_RETRY_AFTER, wants_login
from . import initialise
from .endpoint import GRPCTarget, proxy_of, proxy_options
from .registry_pb2 import CurrentRequest, CurrentResponse, ReportRequest
from .registry_pb2_grpc import RegistryServiceStub

__all__ = ["RegistryClient", "connect"]

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

LARGEST = 4 << 20
"""Maximum bytes of a response."""

TOO_LARGE = "message larger than max"
"""Part of the details of RESOURCE_EXHAUSTED for a message above the limit."""

PUSHBACK = "grpc-retry-pushback-ms"

# Parts of the C core's details about a failed connection: the first match counts.
_UNREACHABLE = (
    (
        "WRONG_VERSION_NUMBER",
        "does not speak TLS: add ?no-tls=true if that is intended",
    ),
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
    StatusCode.UNAUTHENTICATED: "does not recognise dewy: check cert= and key=",
    StatusCode.PERMISSION_DENIED: "refuses access: check the certificate of cert=",
    StatusCode.UNIMPLEMENTED: "knows no dewy.RegistryService: is the address right?",
    StatusCode.INVALID_ARGUMENT: "does not accept the request",
}


def refusal(
    endpoint: GRPCTarget, code: StatusCode, details: str, metadata: Metadata
) -> RemoteError:
    """
    Return the error for a call of *endpoint* that ended with *code*.

    *details* only serve to recognise errors of the C core; none are quoted, for they
    may come from the server.
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
        text = f"{where} gets too many requests: ask again {until}"
        return RateLimited(text, retry_after=delay)
    if code is StatusCode.UNAVAILABLE:
        return RemoteError(
            f"{where} {_unavailable(endpoint, details)}",
            retry_after=_pushback(metadata),
        )
    return RemoteError(f"{where} {_ANSWERS.get(code, f'answered {code.name}')}")


def _unavailable(endpoint: GRPCTarget, details: str) -> str:
    if not details.startswith(_CONNECTING):
        return "is not available, or broke off the connection"
    proxy = proxy_of(endpoint.address)
    if proxy and "HTTP proxy returned" in details:
        return _refused_by(proxy, details)
    for sign, meaning in _UNREACHABLE:
        if sign.lower() in details.lower():
            return f"{meaning}, through {shown(proxy)}" if proxy else meaning
    return f"closed the connection: {_hint(endpoint)}"


def _refused_by(proxy: URL, details: str) -> str:
    login = f": {LOGIN}" if wants_login(details) else ""
    return f"could not be reached: {shown(proxy)} does not connect to it{login}"


def _hint(endpoint: GRPCTarget) -> str:
    """Return the likely reason of a server that closed a connection without a word."""
    if not endpoint.tls:
        return "does it want TLS? then leave no-tls out"
    if not endpoint.cert:
        return "does it want a client certificate? then add cert= and key="
    return "does it trust the client certificate of cert=?"


def _pushback(metadata: Metadata) -> float | None:
    """Return the seconds before a retry that the server asks for (gRPC proposal A6)."""
    for name, value in metadata:
        if name == PUSHBACK and isinstance(value, str) and value.isdecimal():
            return min(float(value) / 1000, MAX_RETRY_AFTER)
    return None


T = TypeVar("T")
Call = Callable[..., grpc.aio.UnaryUnaryCall[Any, T]]

DEADLINE = 30.0
"""Seconds for a call, a new connection included."""

CHANNEL = (
    # Else equal channels share a connection and its back-off.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", LARGEST),
)


async def connect(clients: Clients, endpoint: GRPCTarget) -> RegistryClient:
    """Return the client of this process for *endpoint*."""
    return await clients.get(repr(endpoint), lambda: RegistryClient(endpoint))


class RegistryClient:
    """
    Client with one channel, opened on first use and again after a failure.

    A new channel resolves the name again, reads the present certificates, and skips the
    C core's back-off, for polls have their own. Calls are made one at a time.
    """

    def __init__(self, endpoint: GRPCTarget) -> None:
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RegistryClient {self._endpoint}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._drop()

    async def current(self, request: CurrentRequest) -> CurrentResponse:
        """
        Call `Current`.

        Raises:
            NoRelease: the server answered NOT_FOUND: it has no release for this host.
            RemoteError: the call failed in another way.
        """
        return await self._call(lambda stub: stub.Current, request, self._no_release)

    async def report(self, request: ReportRequest) -> None:
        """
        Call `Report`.

        Raises:
            RemoteError: the server did not take the report.
        """
        await self._call(lambda stub: stub.Report, request, self._unknown_release)

    async def _call(
        self,
        method: Callable[[RegistryServiceStub], Call[T]],
        request: object,
        missing: Callable[[], DewyError],
    ) -> T:
        async with self._lock:
            channel = self._channel = self._channel or await self._open()
            call = method(RegistryServiceStub(channel))
            try:
                answer: T | None = await call(request, timeout=DEADLINE)
            except grpc.aio.AioRpcError as exc:
                if exc.code() is grpc.StatusCode.NOT_FOUND:
                    raise missing() from None
                await self._drop()
                raise self._refusal(exc) from None
            if answer is None:  # grpcio could not decode it
                raise RemoteError(f"{self._endpoint} answered with something malformed")
            return answer

    async def _open(self) -> grpc.aio.Channel:
        initialise()
        # Without `dns:` a host called `unix` would be taken for a path.
        target = f"dns:///{self._endpoint.address}"
        if not self._endpoint.tls:
            return grpc.aio.insecure_channel(target, self._options())
        try:
            keys = await self._endpoint.keys()
        except OSError as exc:
            raise RemoteError(f"{exc.filename}: {exc.strerror}") from exc
        credentials = grpc.ssl_channel_credentials(keys.roots, keys.key, keys.chain)
        return grpc.aio.secure_channel(target, credentials, self._options())

    def _options(self) -> tuple[tuple[str, object], ...]:
        return (*CHANNEL, *proxy_options(self._endpoint.address))

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _refusal(self, exc: grpc.aio.AioRpcError) -> RemoteError:
        return refusal(
            self._endpoint,
            exc.code(),
            exc.details() or "",
            exc.trailing_metadata() or (),
        )

    def _no_release(self) -> DewyError:
        return NoRelease(f"{self._endpoint} names no release for this host")

    def _unknown_release(self) -> DewyError:
        return RemoteError(f"{self._endpoint} does not know what was deployed")
