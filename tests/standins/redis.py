"""Real Redis servers on loopback: alone, behind Sentinel, and as a Cluster."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.eventually import eventually
from tests.standins.certificates import Pair


@dataclass
class Server:
    """A `redis-server`, and its command line to start it again."""

    port: int
    command: list[str]
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return once it answers."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdout=asyncio.subprocess.DEVNULL
        )
        await eventually(self.answers)

    async def answers(self) -> bool:
        with suppress(OSError):
            return b"" != await self.say("PING")
        return False

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None

    async def say(self, *words: str | bytes) -> bytes:
        """Send a command over a connection of its own; the reply as it comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        parts = [word if isinstance(word, bytes) else word.encode() for word in words]
        writer.write(b"*%d\r\n" % len(parts))
        for part in parts:
            writer.write(b"$%d\r\n%s\r\n" % (len(part), part))
        try:
            async with asyncio.timeout(20):
                return await reader.read(1 << 16)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def free_port() -> int:
    """A port whose bus port, 10000 above it, fits below 65536, too."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            if port < 55_000:
                return port


@asynccontextmanager
async def redis_server(directory: Path, *options: str) -> AsyncIterator[Server]:
    """One server that keeps nothing on disk."""
    port = free_port()
    place = directory / f"redis{port}"
    place.mkdir(parents=True)
    fixed = f"--bind 127.0.0.1 --port {port} --appendonly no --dir {place}".split()
    server = Server(port, ["redis-server", *fixed, "--save", "", *options])
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def redis_with_tls(directory: Path, pair: Pair) -> AsyncIterator[int]:
    """One that also serves TLS, as *pair* says who it is; the port for that."""
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key)]
    # It wants some authority, though it asks nobody who they are.
    async with redis_server(directory, *options, "--tls-ca-cert-file", str(pair.cert)):
        yield port


@dataclass
class Watched:
    """A primary with a replica, and the Sentinels that watch them."""

    primary: Server
    replica: Server
    sentinels: list[Server]


@asynccontextmanager
async def sentinel(directory: Path, service: str) -> AsyncIterator[Watched]:
    """One primary, one replica, three Sentinels that agree within a second."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        primary = await enter(redis_server(directory))
        replica = await enter(
            redis_server(directory, "--replicaof", "127.0.0.1", str(primary.port))
        )
        watchers = []
        for _ in range(3):
            port = free_port()
            conf = directory / f"sentinel{port}.conf"
            conf.write_text(
                f"bind 127.0.0.1\nport {port}\ndir {directory}\n"
                f"sentinel monitor {service} 127.0.0.1 {primary.port} 2\n"
                f"sentinel down-after-milliseconds {service} 500\n"
                f"sentinel failover-timeout {service} 4000\n"
            )
            watcher = Server(port, ["redis-server", str(conf), "--sentinel"])
            await watcher.start()
            stack.push_async_callback(watcher.kill)
            watchers.append(watcher)
        watched = Watched(primary, replica, watchers)
        await eventually(lambda: _agreed(watched, service))
        yield watched


async def _agreed(watched: Watched, service: str) -> bool:
    replied = [await w.say("SENTINEL", "CKQUORUM", service) for w in watched.sentinels]
    known = [await w.say("SENTINEL", "REPLICAS", service) for w in watched.sentinels]
    synced = b"master_link_status:up" in await watched.replica.say(
        "INFO", "replication"
    )
    usable = all(reply.startswith(b"+OK 3") for reply in replied)
    return synced and usable and all(b"$" in reply for reply in known)


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[list[Server]]:
    """Three nodes that have all the slots between them."""
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(3):
            name = f"nodes{number}.conf"
            options = ["--cluster-enabled", "yes", "--cluster-config-file", name]
            nodes.append(
                await stack.enter_async_context(redis_server(directory, *options))
            )
        for node, (first, last) in zip(
            nodes, [(0, 5460), (5461, 10922), (10923, 16383)], strict=True
        ):
            await node.say("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for node in nodes[1:]:
            await nodes[0].say("CLUSTER", "MEET", "127.0.0.1", str(node.port))
        await eventually(lambda: _formed(nodes))
        yield nodes


async def _formed(nodes: list[Server]) -> bool:
    told = [await node.say("CLUSTER", "INFO") for node in nodes]
    return all(
        b"cluster_state:ok" in text and b"cluster_known_nodes:3" in text
        for text in told
    )
