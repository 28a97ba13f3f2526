"""The case of gRPC: a real server, which names what was published last."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dewy.registries import REGISTRIES
from dewy.remotes import Clients
from tests.contracts.cases import (
    ARTIFACT,
    Files,
    RegistryCase,
    asynchronous,
    selection,
)
from tests.needs import require


@asynccontextmanager
async def grpc_registry(tmp_path: Path) -> AsyncIterator[RegistryCase]:
    require("grpc")
    from tests.standins.grpc_registry import GRPCServer

    async with GRPCServer() as server, Clients() as clients:
        service = server.service

        def publish(tag: str, files: Files) -> None:
            url = f"https://artifacts.test/{tag}/{ARTIFACT}"
            service.publish(tag, url, id=uuid.uuid4().hex)

        def records(tag: str) -> list[str]:
            # The server is told all that makes up the name but host and time.
            return [
                f"shipped_to_web-01_{report.command}_at_20310203T040506.000000789Z.txt"
                for report in service.reports
                if report.tag == tag and not report.HasField("err")
            ]

        yield RegistryCase(
            open=lambda query, slot: REGISTRIES.open(
                f"grpc://{server.address}?no-tls=true{query.replace('?', '&')}",
                selection(slot),
                clients,
            ),
            publish=asynchronous(publish),
            break_down=server.stop,
            records=asynchronous(records),
        )
