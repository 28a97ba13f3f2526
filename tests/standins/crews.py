"""Replicas on a host that is memory, with real applications and a real proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dewy.config import PortMapping, Reloadable, Settings
from dewy.containers.application import Application
from dewy.containers.model import Container
from dewy.containers.options.arguments import RunOptions
from dewy.containers.replica import Replica
from dewy.containers.replica_set import ReplicaSet
from dewy.deploy.changes import Attempt
from dewy.deploy.state import Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.proxy import Endpoint, Proxy
from dewy.release import Release
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost
from tests.standins.switching import take_over

REPOSITORY = "registry.test/acme/shop"


class Shop:
    """
    An application that answers every request with its version, over HTTP.

    Attributes:
        given: Seconds that it was given to stop; None before that.

        answers: Cleared, it takes connections and answers nothing.
    """

    def __init__(self, version: str, health: int = 200) -> None:
        self.version = version
        self.health = health
        self.published: Mapping[int, int] = {}
        self.connections = 0
        self.given: float | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, ports: list[int]) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        number = self._server.sockets[0].getsockname()[1]
        self.published = dict.fromkeys(ports, number)

    async def stop(self, seconds: float) -> int:
        self.given = seconds
        await self.kill()
        return 0

    async def kill(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    await self.answers.wait()
                    status = self.health if b" /up " in head else 200
                    body = self.version.encode()
                    writer.write(
                        b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s"
                        % (status, len(body), body)
                    )
                    await writer.drain()
                    if b"Connection: close" in head:
                        break
        finally:
            self._writers.discard(writer)
            writer.close()


@dataclass
class Bench:
    """What a test of replicas works with."""

    host: MemoryHost
    settings: Settings
    state_store: StateStore
    replica_set: ReplicaSet = None  # type: ignore[assignment]
    proxy: Proxy = None  # type: ignore[assignment]
    shops: dict[str, Shop] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    rows: list[tuple[Attempt, str, str, str]] = field(default_factory=list)

    def publish(self, tag: str, **image: Any) -> Release:
        """Publish a version; keywords as `MemoryHost.publish`."""
        labels = {"version": tag, **image.pop("labels", {})}
        name = self.host.publish(f"{REPOSITORY}:{tag}", labels=labels, **image)
        digest = name.partition("@")[2]
        return Release(tag, f"img://{REPOSITORY}:{tag}", digest)

    async def deploy(self, release: Release) -> Installed:
        """Bring it up as the agent would."""
        async with self.replica_set.image_store.brought(release) as delivery:
            target = await delivery.reserve(1_000_000.0)
            await delivery.install(target)

        async def commit() -> None:
            await self.state_store.change(lambda state: state.deployed(target, 7))

        async def abandon(reason: BaseException) -> None:
            self.troubles.append(str(reason))

        deployer = self.replica_set.deployer
        await take_over(deployer, target, commit, abandon)
        return target

    def serving(self) -> list[str]:
        """The versions of the replicas in the table."""
        return sorted(r.version for r in self.replica_set.deployer.store.serving)

    def running(self) -> list[str]:
        """The versions of all containers that run."""
        held = (each.container for each in self.host.held.values())
        return sorted(c.labels["dewy.version"] for c in held if c.running)

    async def ask(self) -> str:
        """What the application answers through the proxy."""
        port = self.proxy.ports[0].endpoint.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.rpartition(b": ")[2])
            return (await reader.readexactly(length)).decode()
        finally:
            writer.close()

    async def run(self, container: Container, spec: Mapping[str, Any]) -> Shop:
        """Start the application of a container."""
        health = int(container.labels.get("health", "200"))
        shop = Shop(container.labels["version"], health)
        ports = [int(port.partition("/")[0]) for port in spec["ExposedPorts"]]
        if container.labels.get("listens") != "no":
            await shop.listen(ports)
        else:
            shop.published = dict.fromkeys(ports, 1)
        self.shops[container.id] = shop
        return shop


async def original(
    host: MemoryHost, index: int, tag: str = "v1", **labels: str
) -> None:
    """Run a container as the original started it; *labels* are further ones."""
    engine = MemoryEngine(host)
    image = f"{REPOSITORY}:{tag}"
    await engine.pull(image, None, lambda done, total: None)
    told = {
        "dewy.managed": "true",
        "dewy.app": "shop",
        "dewy.deployed_at": datetime.now().astimezone().isoformat("T", "seconds"),
        "dewy.replica": str(index),
        "dewy.version": tag,
    }
    exposed: dict[str, Any] = {"8443/tcp": {}, "8080/tcp": {}}
    spec = {"Image": image, "Labels": told | labels, "ExposedPorts": exposed}
    await engine.start(await engine.create(f"shop-1772443055-{index}", spec))


class Halt:
    """
    A hook of `MemoryHost`: a call to the engine waits until the test lets it go on.

    Attributes:
        reached: Set once there is such a call.

        proceed: To be set by the test; later calls do not wait either.
    """

    def __init__(self, phase: str, call: str) -> None:
        self.reached, self.proceed = asyncio.Event(), asyncio.Event()
        self._at = (phase, call)

    async def __call__(self, phase: str, call: str, subject: str) -> None:
        if (phase, call) == self._at:
            self.reached.set()
            await self.proceed.wait()


@asynccontextmanager
async def benched(
    root: Path,
    host: MemoryHost | None = None,
    *,
    keep: bool = True,
    answered: bool = True,
    file: Callable[[Path], StateFile] = StateFile,
    flavour: str = "docker",
    **given: Any,
) -> AsyncIterator[Bench]:
    """
    A crew over *host*; keywords are settings.

    *answered* says that the registry was asked once already.

    Containers outlive it with `on_exit="leave"`, for the next one on that host.
    """
    private = root / ".dewy"
    private.mkdir(exist_ok=True)
    usual: dict[str, Any] = {
        "command": "container",
        "registry": f"img://{REPOSITORY}",
        "port_mappings": (PortMapping(8080),),
        "replicas": 3,
        "min_healthy": 0.0,
        "health_timeout": 10.0,
        "upstream": "published",
        "proxy_threads": 0,
        "drain_time": 10.0,
    }
    settings = Settings(root=root, cache_dir=private, **usual | given)
    host = host or MemoryHost.named(str(root))
    states = file(private)
    state = await asyncio.to_thread(states.read)
    bench = Bench(host, settings, StateStore(states, state or State()))
    host.run = bench.run
    engine = MemoryEngine(host, flavour)
    async with AsyncExitStack() as stack:
        proxy = bench.proxy = Proxy(
            threads=0, probe=lambda b: bench.replica_set.probe(b)
        )
        ports = [
            await proxy.open(Endpoint("127.0.0.1", 0)) for _ in settings.port_mappings
        ]

        async def nobody() -> None:
            return None

        bench.replica_set = ReplicaSet.of(
            Reloadable(settings),
            engine,
            Application("shop", REPOSITORY),
            RunOptions(),
            ports,
            bench.state_store,
            nobody,
            lambda release: nullcontext(lambda done, total: None),
            asyncio.Event(),
            told=lambda text: None,
            renewed=lambda *row: bench.rows.append(row),
        )
        await bench.replica_set.deployer.adopt(bench.state_store.state.running)
        await stack.enter_async_context(proxy)
        await stack.enter_async_context(bench.replica_set.exit_watcher)
        stack.push_async_callback(_leave, bench)
        if keep:

            async def died(
                replica: Replica, how: str, tail: tuple[str, ...], verb: str
            ) -> bool:
                bench.deaths.append(how)
                return False

            def troubled(text: str, over: bool) -> None:
                bench.troubles.append(text)

            reconciler = bench.replica_set.keep(died, troubled)
            await stack.enter_async_context(reconciler)
            if answered:
                reconciler.registry_answered()
        try:
            yield bench
        except BaseException:
            # Servers that a failed test leaves behind keep the loop from closing.
            for container in list(host.held):
                await host.kill(container)
            raise


async def _leave(bench: Bench) -> None:
    await bench.replica_set.leave()
    await bench.proxy.stop(0.0)
    await bench.replica_set.table.stop()
    if bench.settings.on_exit == "stop":
        for shop in bench.shops.values():
            await shop.kill()
