"""A `dewy.RegistryService` on loopback: grpc.aio itself, with TLS or without."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode

from dewy.remotes.grpc.registry_pb2 import (
    CurrentRequest,
    CurrentResponse,
    ReportRequest,
)
from dewy.remotes.grpc.registry_pb2_grpc import (
    RegistryServiceServicer,
    add_RegistryServiceServicer_to_server,
)
from tests.standins.certificates import Pair

__all__ = ["GRPCServer", "Refused", "Service", "StatusCode"]

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Refused:
    """What a call ends with instead of an answer."""

    code: StatusCode
    details: str = "the server's own words"
    metadata: Sequence[tuple[str, str]] = ()


@dataclass
class Service(RegistryServiceServicer):  # type: ignore[misc]
    """
    Names what was published last.

    Attributes:
        answer: What is named, or None for nothing.

        refused: What the next calls end with.

        hanging: Calls get no answer.
    """

    answer: CurrentResponse | None = None
    refused: Refused | None = None
    hanging: bool = False
    asked: list[CurrentRequest] = field(default_factory=list)
    reports: list[ReportRequest] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)

    def publish(self, tag: str, url: str, id: str = "") -> None:
        at = datetime.now(UTC)
        self.answer = CurrentResponse(
            id=id or f"id of {tag}", tag=tag, artifact_url=url, created_at=at
        )

    async def Current(self, request: CurrentRequest, context: Context) -> object:
        self.asked.append(request)
        self.peers.append(context.peer())
        await self._fail(context)
        if self.answer is None:
            await context.abort(StatusCode.NOT_FOUND, "nothing here")
        return self.answer

    async def Report(self, request: ReportRequest, context: Context) -> object:
        await self._fail(context)
        if self.answer is None or request.tag != self.answer.tag:
            await context.abort(StatusCode.NOT_FOUND, "no such tag")
        self.reports.append(request)
        return Empty()

    async def _fail(self, context: Context) -> None:
        if self.hanging:
            await asyncio.Event().wait()
        if self.refused:
            await context.abort(
                self.refused.code, self.refused.details, tuple(self.refused.metadata)
            )


class GRPCServer:
    """
    Serves *service* until its block ends, or `stop`.

    Args:
        pair: With what it proves who it is; None for no TLS.

        clients: The authority that clients have to be certified by.
    """

    def __init__(
        self,
        pair: Pair | None = None,
        clients: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = Service()
        self._pair = pair
        self._clients = clients
        self._host = host
        self._port = 0
        self._stack = AsyncExitStack()

    @property
    def address(self) -> str:
        return f"{self._host}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve; again on the same port after a `stop`."""
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        add_RegistryServiceServicer_to_server(self.service, server)
        address = self.address
        if self._pair is None:
            self._port = server.add_insecure_port(address)
        else:
            self._port = server.add_secure_port(address, self._credentials(self._pair))
        await server.start()
        self._stack.push_async_callback(server.stop, None)

    async def stop(self) -> None:
        """Break off what is open, and be gone."""
        await self._stack.aclose()

    def _credentials(self, pair: Pair) -> grpc.ServerCredentials:
        return grpc.ssl_server_credentials(
            [(pair.key.read_bytes(), pair.cert.read_bytes())],
            self._clients.read_bytes() if self._clients else None,
            require_client_auth=self._clients is not None,
        )
