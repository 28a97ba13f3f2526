"""The proxy as a whole, on whichever relay there is."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from dewy.config import Endpoint
from dewy.errors import DewyError
from dewy.proxy import Port, Proxy
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask, asked, connect
from tests.standins.plane import full


async def test_connections_go_to_backends_in_turn(
    port: Port, application: Applications
) -> None:
    """The first one to the first."""
    for name in ("one", "two"):
        port.add((await application(name)).endpoint)
    assert ["one", "two", "one"] == [await asked(port) for _ in range(3)]
    assert 3 == port.stats().accepted


async def test_drain_waits_for_the_last_connection(
    port: Port, application: Applications
) -> None:
    """It says how many were left; open ones go on, new ones go elsewhere."""
    old = port.add((await application("old")).endpoint)
    stream = await connect(port)
    assert "old" == await ask(stream)
    port.add((await application("new")).endpoint)

    assert 1 == await old.drain(0.01)
    assert ["new", "new"] == [await asked(port) for _ in range(2)]
    draining = asyncio.create_task(old.drain(60))
    assert "old" == await ask(stream)
    assert not draining.done()
    stream[1].close()
    assert 0 == await draining


async def test_drain_of_an_idle_backend_is_over_at_once(
    port: Port, application: Applications
) -> None:
    """Whatever the deadline."""
    backend = port.add((await application("idle")).endpoint)
    assert 0 == await backend.drain(60)
    assert not backend.serving


async def test_swap_drains_those_left_out(
    port: Port, application: Applications
) -> None:
    """As a rollout does: the new ones serve, and the old ones are waited for."""
    old = port.add((await application("old")).endpoint)
    stream = await connect(port)
    assert "old" == await ask(stream)
    new = port.add((await application("new")).endpoint, serving=False)
    port.serve([new])

    assert "new" == await asked(port)
    assert [new] == port.serving
    stream[1].close()
    assert 0 == await old.drain(60)
    await old.remove()
    await old.remove()
    assert [new] == port.backends


async def test_backend_that_comes_back_can_drain_again(
    port: Port, application: Applications
) -> None:
    """A rollout that was taken back, and is made after all."""
    backend = port.add((await application("it")).endpoint)
    assert 0 == await backend.drain(60)
    port.serve([backend])
    stream = await connect(port)
    assert "it" == await ask(stream)
    assert 1 == await backend.drain(0.01)
    stream[1].close()


async def test_removal_ends_a_drain(port: Port, application: Applications) -> None:
    """Its connections are nobody's any more, and end by themselves."""
    backend = port.add((await application("it")).endpoint)
    stream = await connect(port)
    assert "it" == await ask(stream)
    draining = asyncio.create_task(backend.drain(60))
    await asyncio.sleep(0)
    await backend.remove()
    assert 0 == await draining
    assert "it" == await ask(stream)
    stream[1].close()


async def test_cut_resets_connections(port: Port, application: Applications) -> None:
    """The container is gone."""
    backend = port.add((await application("gone")).endpoint)
    stream = await connect(port)
    assert "gone" == await ask(stream)
    assert 1 == backend.cut()
    with pytest.raises(ConnectionResetError):
        await stream[0].read()
    stream[1].close()


async def test_recall_redispatches_pending_connections(
    port: Port, application: Applications
) -> None:
    """At once, and not after a second attempt of the kernel's."""
    with full() as hanging:
        gone = port.add(Endpoint.of(hanging.listener))
        asking = asyncio.create_task(asked(port))
        await eventually(lambda: gone.connections)
        port.serve([port.add((await application("there")).endpoint, serving=False)])
        assert 1 == gone.recall()
        assert "there" == await asking


async def test_dead_backend_is_ejected_and_restored(
    port: Port, application: Applications
) -> None:
    """Clients do not notice; a probe finds out when it is back."""
    dying, other = await application("dying"), await application("other")
    backend = port.add(dying.endpoint)
    port.add(other.endpoint)
    await dying.stop()

    assert ["other", "other"] == [await asked(port) for _ in range(2)]
    await eventually(lambda: backend.ejected)
    failures = backend.stats().failures
    assert ["other"] * 4 == [await asked(port) for _ in range(4)]
    assert failures == backend.stats().failures
    await dying.start()
    await eventually(lambda: not backend.ejected)
    assert {"dying", "other"} == {await asked(port) for _ in range(2)}


async def test_suspected_backend_is_probed_first() -> None:
    """Closing without a byte ejects nobody whom the probe finds well."""
    probed = asyncio.Event()

    async def probe(backend: object) -> bool:
        probed.set()
        return True

    async def closes(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.close()

    async with (
        await asyncio.start_server(closes, "127.0.0.1", 0) as server,
        Proxy(threads=1, probe=probe) as proxy,
    ):
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        endpoint = Endpoint(*server.sockets[0].getsockname())
        backend, _ = port.add(endpoint), port.add(endpoint)
        assert "" == await asked(port)
        await probed.wait()
        assert not backend.ejected
        assert 1 == backend.stats().suspicions


async def test_stop_waits_and_then_resets(
    proxy: Proxy, port: Port, application: Applications
) -> None:
    """New connections are refused at once; it says how many were cut."""
    port.add((await application("it")).endpoint)
    stream = await connect(port)
    assert "it" == await ask(stream)
    stopping = asyncio.create_task(proxy.stop(0.2))
    await eventually(lambda: port.closed)
    with pytest.raises(ConnectionRefusedError):
        await connect(port)
    assert "it" == await ask(stream)
    assert 1 == await stopping
    assert "" == await ask(stream)
    assert 0 == await proxy.stop(60)
    stream[1].close()


async def test_stop_ends_with_the_last_connection(
    proxy: Proxy, port: Port, application: Applications
) -> None:
    """Not later."""
    port.add((await application("it")).endpoint)
    stream = await connect(port)
    assert "it" == await ask(stream)
    stopping = asyncio.create_task(proxy.stop(60))
    stream[1].close()
    assert 0 == await asyncio.wait_for(stopping, 30)


async def test_missing_backend_is_told_once(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    """However many clients are turned away."""
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert "" == await asked(port)
    await eventually(lambda: 3 == port.stats().errors.no_backend)
    await eventually(lambda: caplog.messages)
    assert 1 == len(caplog.messages)
    assert str(port.endpoint) == caplog.records[0].__dict__["port"]


async def test_passed_socket_is_taken(proxy: Proxy, application: Applications) -> None:
    """By its address or its name; it stays as blocking as it came."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        endpoint = Endpoint(*passed.getsockname())
        port = await proxy.open(endpoint, [("web", passed)])
        port.add((await application("it")).endpoint)
        assert endpoint == port.endpoint
        assert "it" == await asked(port)
        assert passed.getblocking()


async def test_proxy_that_never_was_entered_can_be_stopped() -> None:
    """Another of its ports may have been taken."""
    proxy = Proxy(threads=1)
    port = await proxy.open(Endpoint("127.0.0.1", 0))
    assert 0 == await proxy.stop(60)
    with pytest.raises(ConnectionRefusedError):
        await connect(port)


async def test_every_family_is_served(
    proxy: Proxy, application: Applications, tmp_path: Path
) -> None:
    """A port alone is one dual-stack socket; a Unix socket has a path."""
    with socket.create_server(("", 0)) as spare:
        free = spare.getsockname()[1]
    backend = (await application("it")).endpoint
    both = await proxy.open(Endpoint(port=free))
    unix = await proxy.open(Endpoint(path=str(tmp_path / "socket")))
    for port in (both, unix):
        port.add(backend)
    for host in ("127.0.0.1", "::1"):
        stream = await asyncio.open_connection(host, free)
        assert "it" == await ask(stream)
        stream[1].close()
    stream = await asyncio.open_unix_connection(unix.endpoint.path)
    assert "it" == await ask(stream)
    stream[1].close()


async def test_address_in_use_is_an_error(proxy: Proxy, port: Port) -> None:
    """It names the address."""
    with pytest.raises(DewyError, match=f"{port.endpoint} is in use"):
        await proxy.open(port.endpoint)


async def test_file_of_a_unix_socket_goes_with_its_port(tmp_path: Path) -> None:
    """So that clients see at once that nobody is there."""
    path = tmp_path / "socket"
    async with Proxy(threads=1) as proxy:
        port = await proxy.open(Endpoint(path=str(path)))
        assert path.is_socket()
        await proxy.close(port)
        assert not path.exists()
        await proxy.open(Endpoint(path=str(path)))
    assert not path.exists()


async def test_file_that_another_put_in_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with Proxy(threads=1) as proxy:
        await proxy.open(Endpoint(path=str(path)))
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()


async def test_log_of_a_backend_names_its_port(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be one of several."""
    port = await proxy.open(Endpoint("127.0.0.1", 0))
    port.add(Endpoint("127.0.0.1", 9)).eject()
    (told,) = [vars(each) for each in caplog.records if each.msg == "Ejected backend"]

    assert (str(port.endpoint), "127.0.0.1:9") == (told["port"], told["backend"])
