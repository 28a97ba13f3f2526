"""Programs that know nothing of dewy, through `dewy proxy`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests import needs as parts
from tests.needs import needs
from tests.standins.plane import DEADLINE, LOOPBACK, listening, soon
from tests.standins.proxies import RELAYS, require, running

MIB = 1 << 20
BLOCK = bytes(range(256)) * (MIB // 256)
Front = Callable[[int], int]


@pytest.fixture(params=RELAYS)
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    """Starts a proxy before a port; the port to use instead."""
    require(request.param)
    with ExitStack() as stack:
        yield (
            lambda port: (
                stack.enter_context(running(request.param, port, tmp_path)).port
            )
        )


def free_port() -> int:
    """One that nobody listens at."""
    with listening() as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens at *port*."""
    with socket.socket() as sock:
        return sock.connect_ex((LOOPBACK, port)) == 0


def run(*command: object, **options: object) -> str:
    """What *command* prints; its failure is one of the test."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return str(done.stdout)


async def arun(*command: object) -> str:
    """The same, while servers of this loop go on serving."""
    return await asyncio.to_thread(run, *command)


@needs("redis-server", "redis-benchmark")
def test_redis_benchmark(front: Front, tmp_path: Path) -> None:
    """Pipelined and not, small values and larger ones."""
    port = free_port()
    command = ["redis-server", "--bind", LOOPBACK, "--port", str(port)]
    quiet = ["--save", "", "--dir", str(tmp_path), "--logfile", str(tmp_path / "log")]
    with subprocess.Popen([*command, *quiet]) as server:
        try:
            soon(lambda: answers(port))
            common = ("redis-benchmark", "-h", LOOPBACK, "-p", front(port), "-q")
            for more in ((), ("-P", 16), ("-d", 100_000), ("-k", 0)):
                shown = run(*common, "-n", 2000, "-c", 20, "-t", "set,get", *more)
                assert "GET:" in shown
                assert "rror" not in shown
        finally:
            server.terminate()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[int]:
    """The port of a database server."""
    found = parts.postgresql()
    assert found
    as_user = []
    directory = tmp_path / "postgres"
    directory.mkdir()
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(directory, pwd.getpwnam("postgres").pw_uid)
        as_user = ["runuser", "-u", "postgres", "--"]
    run(*as_user, found / "initdb", "-D", directory, "-A", "trust", "-U", "dewy", "-N")
    port = free_port()
    settings = ["-h", LOOPBACK, "-p", port, "-k", "", "-F"]
    command = [*as_user, found / "postgres", "-D", directory, *settings]
    with (
        (tmp_path / "postgres.log").open("w") as log,
        subprocess.Popen([str(word) for word in command], stderr=log) as server,
    ):
        try:
            soon(lambda: answers(port))
            yield port
        finally:
            server.terminate()


@needs("postgresql", "pgbench")
def test_pgbench(front: Front, postgres: int, tmp_path: Path) -> None:
    """Filling tables with COPY, and transactions over several connections."""
    at = ("-h", LOOPBACK, "-p", front(postgres), "-U", "dewy", "postgres")
    run("pgbench", "-i", "-q", *at)
    shown = run("pgbench", "-c", 8, "-t", 50, *at)
    assert "number of transactions actually processed: 400/400" in shown
    assert "number of failed transactions: 0" in shown
    shown = run("pgbench", "-C", "-S", "-c", 4, "-t", 25, *at)
    assert "100/100" in shown


async def download(request: web.Request) -> web.StreamResponse:
    """As many MiB as the path says."""
    answer = web.StreamResponse()
    size = int(request.match_info["size"])
    answer.content_length = size * MIB
    await answer.prepare(request)
    for _ in range(size):
        await answer.write(BLOCK)
    return answer


async def upload(request: web.Request) -> web.Response:
    """The digest of what was sent."""
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


@asynccontextmanager
async def site(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of an HTTP server."""
    application = web.Application()
    application.add_routes([web.get("/{size}", download), web.put("/upload", upload)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        with listening() as listener:
            await web.SockSite(runner, listener, ssl_context=context).start()
            yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


async def transfer(url: str, size: int, tmp_path: Path, *options: str) -> None:
    """*size* MiB down and up again, with curl, as they should be."""
    file = tmp_path / "file"
    await arun("curl", "-sSf", *options, "-o", file, f"{url}/{size}")
    digest = await asyncio.to_thread(_digest, file)
    expected = hashlib.sha256()
    for _ in range(size):
        expected.update(BLOCK)
    assert expected.hexdigest() == digest
    sent = await arun("curl", "-sSf", *options, "-T", file, f"{url}/upload")
    assert digest == sent


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@needs("curl")
@pytest.mark.parametrize(
    "size", [64, pytest.param(1024, marks=pytest.mark.soak)], ids=["64M", "1G"]
)
async def test_curl_down_and_up(front: Front, tmp_path: Path, size: int) -> None:
    """Every byte."""
    async with site() as port:
        at = await asyncio.to_thread(front, port)
        await transfer(f"http://{LOOPBACK}:{at}", size, tmp_path)


@needs("curl", "openssl")
async def test_tls_is_passed_through(front: Front, tmp_path: Path) -> None:
    """The certificate that the client checks is the application's own."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    await arun(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{LOOPBACK}"),
        *("-keyout", key, "-out", certificate),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with site(context) as port:
        at = await asyncio.to_thread(front, port)
        options = ("--cacert", str(certificate))
        await transfer(f"https://{LOOPBACK}:{at}", 16, tmp_path, *options)


@needs("websockets")
async def test_websocket_echo(front: Front) -> None:
    """Both sides speak whenever they like, and say goodbye."""
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, LOOPBACK, 0, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        at = await asyncio.to_thread(front, port)
        async with connect(f"ws://{LOOPBACK}:{at}", max_size=None) as client:
            for size in (0, 1, 65536, 3 * MIB):
                await client.send(bytes(size))
                assert bytes(size) == await client.recv()
        assert 1000 == client.close_code


@needs("grpc")
async def test_grpc_streams(front: Front) -> None:
    """A bidirectional stream, and many calls on one connection."""
    import grpc

    async def echo(
        messages: AsyncIterator[bytes], context: object
    ) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message

    handler = grpc.method_handlers_generic_handler(
        "dewy.test.Echo", {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    at = await asyncio.to_thread(front, port)
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{at}") as channel:
        call: Callable[..., Awaitable[object]] = channel.stream_stream(
            "/dewy.test.Echo/Echo"
        )
        sent = [bytes([n]) * (n * 1000) for n in range(200)]
        assert sent == [got async for got in call(iter(sent))]  # type: ignore[attr-defined]
        assert sent[:20] == [
            got
            for message in sent[:20]
            async for got in call(iter([message]))  # type: ignore[attr-defined]
        ]
    await server.stop(None)


@needs("iperf3")
@pytest.mark.parametrize("direction", [[], ["--reverse"]], ids=["up", "down"])
def test_iperf(front: Front, direction: list[str]) -> None:
    """A control connection beside bulk ones, and what one says of the others."""
    port = free_port()
    command = ["iperf3", "--server", "--one-off", "--bind", LOOPBACK]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL
    ) as server:
        try:
            soon(lambda: listens(port))
            client = ("iperf3", "--client", LOOPBACK, "--port", front(port), "--json")
            shown = run(*client, "--bytes", "64M", "--parallel", 4, *direction)
            sums = json.loads(shown)["end"]
            assert sums["sum_sent"]["bytes"] >= 64_000_000
            assert 0 == server.wait(DEADLINE)
        finally:
            server.kill()


def listens(port: int) -> bool:
    """As `answers`, without a connection: this server takes only one."""
    table = Path("/proc/net/tcp").read_text()
    return f"0100007F:{port:04X} 00000000:0000 0A" in table
