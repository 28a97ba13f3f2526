"""The client of a `dewy.RegistryService`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self, TypeVar

import grpc.aio

from ...errors import DewyError, NoRelease, RemoteError
from .. import Clients
from . import quiet
from .endpoint import GRPCTarget
from .errors import LARGEST, refusal
from .proxy import proxy_options
from .registry_pb2 import CurrentRequest, CurrentResponse, ReportRequest
from .registry_pb2_grpc import RegistryServiceStub

__all__ = ["RegistryClient", "connect"]

T = TypeVar("T")
Call = Callable[..., grpc.aio.UnaryUnaryCall[Any, T]]

DEADLINE = 30.0
"""Seconds for a call, the connection it may need included."""

CHANNEL = (
    # Channels of a kind would share their connection, and how long not to try one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", LARGEST),
)


async def connect(clients: Clients, endpoint: GRPCTarget) -> RegistryClient:
    """Return the client of this process for *endpoint*."""
    return await clients.get(repr(endpoint), lambda: RegistryClient(endpoint))


class RegistryClient:
    """
    A connection, made on first use and made anew after it failed.

    A new one looks the name up again, reads renewed certificates, and does not
    wait for the end of the core's own pauses: dewy makes its own between polls.
    Calls wait for each other.
    """

    def __init__(self, endpoint: GRPCTarget) -> None:
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None
        self._busy = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RegistryClient {self._endpoint}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._drop()

    async def current(self, request: CurrentRequest) -> CurrentResponse:
        """
        Ask which release is current.

        Raises:
            NoRelease: the server names no release.
            RemoteError: the server did not answer as it should.
        """
        return await self._call(lambda stub: stub.Current, request, self._no_release)

    async def report(self, request: ReportRequest) -> None:
        """
        Report a deployment.

        Raises:
            RemoteError: the server did not take it.
        """
        await self._call(lambda stub: stub.Report, request, self._unknown_release)

    async def _call(
        self,
        method: Callable[[RegistryServiceStub], Call[T]],
        request: object,
        missing: Callable[[], DewyError],
    ) -> T:
        async with self._busy:
            channel = self._channel = self._channel or await self._open()
            call = method(RegistryServiceStub(channel))
            try:
                return await call(request, timeout=DEADLINE)
            except grpc.aio.AioRpcError as exc:
                if exc.code() is grpc.StatusCode.NOT_FOUND:
                    raise missing() from None
                await self._drop()
                raise self._refusal(exc) from None

    async def _open(self) -> grpc.aio.Channel:
        quiet.begin()
        # `dns` also for addresses; without it `unix:1` would be a path.
        target = f"dns:///{self._endpoint.address}"
        if not self._endpoint.tls:
            return grpc.aio.insecure_channel(target, self._options())
        try:
            keys = await asyncio.to_thread(self._endpoint.keys)
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
