"""The original's container mode, played: containers with its labels, and its proxy."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import aiodocker

from tests.eventually import eventually
from tests.standins.container_site import ContainerDewy
from tests.standins.images import Pushed

INNER = "8080/tcp"


async def run_as_the_original(
    dewy: ContainerDewy, pushed: Pushed, replicas: int
) -> list[int]:
    """Run *replicas* of what was *pushed* as the original did; their host's ports."""
    async with dewy.engine.client() as docker:
        await docker.images.pull(pushed.tagged)
        begun = int(time.time())
        return [
            await _run(docker, pushed, begun, index, dewy.engine.name())
            for index in range(replicas)
        ]


async def _run(
    docker: aiodocker.Docker, pushed: Pushed, begun: int, index: int, name: str
) -> int:
    config = {
        "Image": pushed.tagged,
        "Labels": {
            "dewy.managed": "true",
            "dewy.app": pushed.repository.rpartition("/")[2],
            "dewy.deployed_at": datetime.now().astimezone().isoformat("T", "seconds"),
            "dewy.replica": str(index),
            "dewy.version": pushed.tag,
        },
        "ExposedPorts": {INNER: {}},
        "HostConfig": {"PortBindings": {INNER: [{"HostIp": "127.0.0.1"}]}},
    }
    container = await docker.containers.create(config, name=f"{name}-{begun}-{index}")
    await container.start()
    return await _published(container)


async def _published(container: aiodocker.docker.DockerContainer) -> int:
    found: list[int] = []

    async def known() -> bool:
        shown = (await container.show())["NetworkSettings"]["Ports"].get(INNER) or ()
        found[:] = [int(each["HostPort"]) for each in shown]
        return bool(found)

    await eventually(known)
    return found[0]


@asynccontextmanager
async def proxy_of_the_original(port: int, ports: Sequence[int]) -> AsyncIterator[None]:
    """Pass connections at *port* on to *ports* in turn; killed at the end."""
    turn = itertools.cycle(ports)
    passing: set[asyncio.Task[None]] = set()

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        passing.add(task)
        try:
            await _pass_on(reader, writer, next(turn))
        except OSError:
            pass
        finally:
            writer.close()
            passing.discard(task)

    server = await asyncio.start_server(pass_on, "0.0.0.0", port)
    try:
        yield
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
    finally:
        back.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        sink.write(piece)
        await sink.drain()
    # The end of one direction is the end of both.
    sink.close()
