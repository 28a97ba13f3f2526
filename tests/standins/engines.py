"""
The real engines of this machine, and images for them: fixtures of every test.

An engine that runs already is used, never a second one started beside it. What
tests create carries the label `dewy.test` with this session's own value: images
have it baked in, so that their containers have it too. It is removed at the end,
and nothing else is.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiodocker
import pytest

from dewy.containers.engines.opening import Runtime, open_engine
from dewy.containers.model import Engine
from tests import needs
from tests.eventually import eventually
from tests.standins.images import Publisher
from tests.standins.registry import RegistryServer

LABEL = "dewy.test"
SESSION = uuid.uuid4().hex[:12]
LABELS = {LABEL: SESSION}
ENGINES: tuple[Runtime, ...] = ("docker", "podman")
OWN = {"bridge", "host", "none", "podman"}

SWEEPING = 120.0

_numbers = count(1)


@dataclass(frozen=True)
class RealEngine:
    """
    An engine of this machine.

    Attributes:
        environ: What a dewy that is to find it has in its environment.

        labels: For whatever a test creates by itself.
    """

    engine: Engine
    runtime: Runtime
    environ: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=lambda: dict(LABELS))

    @staticmethod
    def name(word: str = "app") -> str:
        """A name nobody else uses, for a container, a network or a repository."""
        return f"{word}-{SESSION}-{next(_numbers)}"

    def client(self) -> aiodocker.Docker:
        """The same engine, without dewy between; to be closed."""
        return aiodocker.Docker(url=self.engine.address)

    async def prune_images(self) -> None:
        """`docker image prune`, of this session's own."""
        wanted = {"dangling": ["true"], "label": [f"{LABEL}={SESSION}"]}
        params = {"filters": json.dumps(wanted)}
        async with self.client() as docker:

            async def pruned() -> bool:
                try:
                    await docker._query_json("images/prune", "POST", params=params)
                except aiodocker.DockerError as exc:
                    # Podman reads all images, and somebody else has removed one.
                    if "image not known" not in exc.message:
                        raise
                    return False
                return True

            await eventually(pruned)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of one engine follow each other, however many run at a time."""
    for item in items:
        if runtime := runtime_of(item):
            item.add_marker(pytest.mark.xdist_group(runtime))
    # As they take the longest, they begin at once.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def runtime_of(item: pytest.Item) -> str:
    """Which engine a test runs containers in, if it does."""
    params = getattr(item, "callspec", None)
    named = {str(value) for value in params.params.values()} if params else set()
    for runtime in ENGINES:
        if runtime in named:
            return runtime
    return ENGINES[0] if "docker" in getattr(item, "fixturenames", ()) else ""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry that lets everybody in."""
    needs.require("docker-registry")
    with RegistryServer(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def private_registry(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RegistryServer]:
    """A registry that wants a name and a password."""
    needs.require("docker-registry")
    with RegistryServer(tmp_path_factory.mktemp("private"), private=True) as server:
        yield server


@pytest.fixture
async def publisher(registry: RegistryServer) -> AsyncIterator[Publisher]:
    """Who pushes images of the test application to `registry`."""
    needs.require("gcc")
    async with Publisher(registry.host, LABELS) as pushes:
        yield pushes


@pytest.fixture
async def private_publisher(
    private_registry: RegistryServer,
) -> AsyncIterator[Publisher]:
    """The same for `private_registry`."""
    needs.require("gcc")
    wanted = private_registry.credentials
    async with Publisher(private_registry.host, LABELS, wanted) as pushes:
        yield pushes


@pytest.fixture(params=ENGINES)
async def engine(
    request: pytest.FixtureRequest, _swept_at_the_end: None
) -> AsyncIterator[RealEngine]:
    """Docker, and Podman; what the test leaves in it is removed."""
    runtime: Runtime = request.param
    async with real_engine(runtime) as real:
        yield real


@asynccontextmanager
async def real_engine(runtime: Runtime) -> AsyncIterator[RealEngine]:
    """The engine of *runtime*, for tests that do not want both; skips without it."""
    needs.require(runtime)
    place = needs.engine_socket(runtime)
    assert place is not None
    environ = {"DOCKER_HOST" if runtime == "docker" else "CONTAINER_HOST": place}
    try:
        async with open_engine(runtime, {**os.environ, **environ}) as opened:
            yield RealEngine(opened, runtime, environ)
    finally:
        await sweep(place)


@asynccontextmanager
async def tcp_door(place: str) -> AsyncIterator[str]:
    """Another way to the engine at the Unix socket *place*: a port of 127.0.0.1."""
    path = place.removeprefix("unix://")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                sink.write(piece)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = await asyncio.open_unix_connection(path)
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(reader, back), name="to the engine")
            group.create_task(copy(there, writer), name="from the engine")

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(scope="session")
def _swept_at_the_end() -> Iterator[None]:
    yield
    for runtime in ENGINES:
        if place := needs.engine_socket(runtime):
            asyncio.run(sweep(place, images=True))


async def sweep(place: str, *, images: bool = False) -> None:
    """Remove this session's containers and networks, and its *images* too."""
    async with asyncio.timeout(SWEEPING), aiodocker.Docker(url=place) as docker:
        mine = {"label": [f"{LABEL}={SESSION}"]}
        networks = {one["Name"] for one in await docker.networks.list(filters=mine)}
        listed = await docker.containers.list(all=True, filters=mine)
        networks.update(*await asyncio.gather(*map(_removed, listed)))
        for name in networks - OWN:
            with suppress(aiodocker.DockerError):
                await (await docker.networks.get(name)).delete()
        if images:
            for image in await _images(docker, mine):
                with suppress(aiodocker.DockerError):
                    await docker.images.delete(image["Id"], force=True)


async def _images(
    docker: aiodocker.Docker, wanted: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """Those there are; Podman stumbles over what others remove while it looks."""
    while True:
        try:
            return await docker.images.list(filters=wanted)
        except aiodocker.DockerError as exc:
            if "not known" not in exc.message:
                raise


async def _removed(container: aiodocker.docker.DockerContainer) -> set[str]:
    """Remove it; the networks it was in."""
    networks = (await _shown(container)).get("Networks") or ()
    with suppress(aiodocker.DockerError):
        await container.delete(force=True, v=True)
    return set(networks)


async def _shown(container: aiodocker.docker.DockerContainer) -> dict[str, Any]:
    with suppress(aiodocker.DockerError):
        return dict((await container.show())["NetworkSettings"])
    return {}
