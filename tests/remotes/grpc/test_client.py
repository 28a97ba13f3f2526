"""One connection, encrypted or not, that mends itself."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.errors import NoRelease, RateLimited, RemoteError
from dewy.ioprocess import brief
from tests.eventually import eventually
from tests.needs import found, needs
from tests.standins.certificates import Authority, Pair
from tests.standins.fuse import hung, hung_threads

if found("grpc"):
    from dewy.remotes import Clients
    from dewy.remotes.grpc import client as module
    from dewy.remotes.grpc.client import RegistryClient, connect
    from dewy.remotes.grpc.endpoint import GRPCTarget
    from dewy.remotes.grpc.registry_pb2 import CurrentRequest, ReportRequest
    from tests.standins.grpc_registry import GRPCServer, Refused, StatusCode

pytestmark = needs("grpc")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.certify("127.0.0.1")


async def tag(endpoint: GRPCTarget) -> str:
    """The tag that a new client is told there."""
    async with RegistryClient(endpoint) as client:
        return (await client.current(CurrentRequest())).tag


@asynccontextmanager
async def plain(server: GRPCServer) -> AsyncIterator[tuple[GRPCServer, RegistryClient]]:
    """The *server* without TLS, and its client."""
    async with server, RegistryClient(GRPCTarget(server.address, tls=False)) as client:
        yield server, client


def served(server: GRPCServer) -> GRPCServer:
    server.service.publish("v1.0.0", "https://artifacts.test/app.zip")
    return server


async def test_plain_server_is_asked() -> None:
    async with served(GRPCServer()) as server:
        assert "v1.0.0" == await tag(GRPCTarget(server.address, tls=False))


async def test_server_is_trusted_by_the_authority_named(
    authority: Authority, pair: Pair
) -> None:
    async with served(GRPCServer(pair)) as server:
        assert "v1.0.0" == await tag(GRPCTarget(server.address, ca=str(authority.cert)))


async def test_server_is_trusted_by_the_roots_of_the_system(
    authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    async with served(GRPCServer(pair)) as server:
        assert "v1.0.0" == await tag(GRPCTarget(server.address))


async def test_server_may_have_an_ipv6_address(authority: Authority) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 9)) == errno.EADDRNOTAVAIL:
            pytest.skip("this machine has no IPv6 loopback")
    async with served(GRPCServer(authority.certify("::1"), host="[::1]")) as server:
        assert "v1.0.0" == await tag(GRPCTarget(server.address, ca=str(authority.cert)))


async def test_client_certificate_is_sent(authority: Authority, pair: Pair) -> None:
    ours, cert, key = str(authority.cert), str(pair.cert), str(pair.key)
    async with served(GRPCServer(pair, clients=authority.cert)) as server:
        assert "v1.0.0" == await tag(GRPCTarget(server.address, True, ours, cert, key))


@pytest.mark.parametrize(
    ("subject", "trusted", "mutual", "said"),
    [
        ("127.0.0.1", False, False, "name its authority with ca="),
        ("elsewhere.test", True, False, "of another name"),
        ("127.0.0.1", True, True, "does it want a client certificate"),
    ],
)
async def test_connection_that_is_not_trusted_says_why(
    tmp_path: Path, subject: str, trusted: bool, mutual: bool, said: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    pair = authority.certify(subject)
    ca = str(authority.cert if trusted else other.cert)
    clients = authority.cert if mutual else None
    async with served(GRPCServer(pair, clients)) as server:
        with pytest.raises(RemoteError, match=said):
            await tag(GRPCTarget(server.address, ca=ca))


async def test_tls_and_plaintext_do_not_meet(pair: Pair) -> None:
    async with served(GRPCServer()) as plain, served(GRPCServer(pair)) as encrypted:
        with pytest.raises(RemoteError, match="does not speak TLS"):
            await tag(GRPCTarget(plain.address))
        with pytest.raises(RemoteError, match="does it want TLS"):
            await tag(GRPCTarget(encrypted.address, tls=False))


async def test_server_that_hangs_is_given_up(
    authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.2)
    async with served(GRPCServer()) as server:
        endpoint = GRPCTarget(server.address, tls=False)
        async with RegistryClient(endpoint) as client:
            server.service.hanging = True
            with pytest.raises(RemoteError, match="did not answer in time"):
                await client.current(CurrentRequest())
            server.service.hanging = False
            monkeypatch.setattr(module, "DEADLINE", 30.0)

            assert "v1.0.0" == (await client.current(CurrentRequest())).tag


async def test_server_without_grpc_handshake_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even the connection is made for gRPC."""
    monkeypatch.setattr(module, "DEADLINE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with pytest.raises(RemoteError, match="did not answer in time"):
            await tag(GRPCTarget(f"{host}:{port}"))


async def test_server_that_comes_back_is_asked_at_once() -> None:
    """The core's own pause before the next attempt is not ours."""
    server = served(GRPCServer())
    await server.start()
    async with RegistryClient(GRPCTarget(server.address, tls=False)) as client:
        await client.current(CurrentRequest())
        await server.stop()
        for _ in range(5):
            with pytest.raises(RemoteError):
                await client.current(CurrentRequest())
        await server.start()

        assert "v1.0.0" == (await client.current(CurrentRequest())).tag
    await server.stop()


async def test_renewed_certificate_is_taken(tmp_path: Path) -> None:
    """Files are read anew for each connection."""
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(old.cert.read_bytes())
    async with served(GRPCServer(new.certify("127.0.0.1"))) as server:
        async with RegistryClient(GRPCTarget(server.address, ca=str(ca))) as client:
            with pytest.raises(RemoteError):
                await client.current(CurrentRequest())
            ca.write_bytes(new.cert.read_bytes())
            assert "v1.0.0" == (await client.current(CurrentRequest())).tag
        ca.unlink()
        with pytest.raises(RemoteError, match="No such file"):
            await tag(GRPCTarget(server.address, ca=str(ca)))


@needs("fuse")
async def test_hung_directory_of_a_certificate_keeps_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief, "PATIENCE", 0.5)
    with hung(tmp_path):
        with pytest.raises(RemoteError, match=r"not read within 0\.5 s"):
            await tag(GRPCTarget("127.0.0.1:1", ca=str(tmp_path / "ca.pem")))
        assert [] == hung_threads()


async def test_malformed_answer_is_a_failure_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of bytes that it cannot decode grpcio makes None."""

    class Stub:
        def __init__(self, channel: object) -> None: ...

        async def Current(self, request: object, timeout: float) -> None:  # noqa: ASYNC109
            return None

    monkeypatch.setattr(module, "RegistryServiceStub", Stub)
    with pytest.raises(RemoteError, match="answered with something malformed"):
        await tag(GRPCTarget("127.0.0.1:1", tls=False))


async def test_calls_share_single_connection() -> None:
    async with served(GRPCServer()) as server, Clients() as clients:
        endpoint = GRPCTarget(server.address, tls=False)
        for _ in range(3):
            client = await connect(clients, endpoint)
            await asyncio.gather(*(client.current(CurrentRequest()) for _ in "ab"))

        assert 1 == len(set(server.service.peers))
        assert 6 == len(server.service.asked)
        assert repr(client) == f"<RegistryClient grpc://{server.address}>"


async def test_cancelled_call_leaves_the_client_of_use() -> None:
    async with plain(served(GRPCServer())) as (server, client):
        server.service.hanging = True
        asking = asyncio.ensure_future(client.current(CurrentRequest()))
        await eventually(lambda: server.service.asked)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        server.service.hanging = False

        assert "v1.0.0" == (await client.current(CurrentRequest())).tag


async def test_not_found_means_no_release_or_unknown_deployment() -> None:
    async with plain(GRPCServer()) as (_, client):
        with pytest.raises(NoRelease, match="names no release"):
            await client.current(CurrentRequest())
        with pytest.raises(RemoteError, match="does not know what was deployed"):
            await client.report(ReportRequest(tag="v1"))


async def test_words_of_the_server_are_not_repeated() -> None:
    async with plain(GRPCServer()) as (server, client):
        pushback = (("grpc-retry-pushback-ms", "2000"),)
        server.service.refused = Refused(
            StatusCode.RESOURCE_EXHAUSTED, "hunter2", pushback
        )
        with pytest.raises(RateLimited) as caught:
            await client.current(CurrentRequest())

    assert caught.value.retry_after == 2.0
    assert "hunter2" not in str(caught.value)


async def test_answer_that_is_too_large_is_told_as_that() -> None:
    """It is no rate limit, and asking later would bring the same."""
    async with plain(served(GRPCServer())) as (server, client):
        server.service.publish("v1.0.0", "https://artifacts.test/" + "x" * (5 << 20))
        with pytest.raises(RemoteError, match="an answer of more than 4 MiB") as caught:
            await client.current(CurrentRequest())

    assert not isinstance(caught.value, RateLimited)
