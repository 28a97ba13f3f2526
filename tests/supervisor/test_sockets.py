"""Listening sockets: opened here, or taken from the service manager."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from dewy.config import Address
from dewy.errors import DewyError
from dewy.supervisor.sockets import Listeners, open_listeners
from tests.eventually import eventually


def shut(listeners: Listeners) -> None:
    """What WEBrick does when it ends: for everybody who has the socket."""
    with socket.socket(fileno=os.dup(listeners.descriptors[0])) as shared:
        shared.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


def bound(stack: ExitStack, host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = stack.enter_context(socket.socket(family))
    sock.bind((host, 0))
    sock.listen()
    return sock


async def test_a_port_accepts_at_once_and_stays_blocking(stack, port):
    address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
    listeners = stack.enter_context(await open_listeners([address], [], 0))

    with socket.create_connection(("127.0.0.1", port)):
        pass
    assert (f"127.0.0.1:{port}",) == listeners.names
    assert ("127.0.0.1", port) == listeners.lowest
    assert all(os.get_blocking(fd) for fd in listeners.descriptors)


async def test_port_closed_by_shutdown_is_opened_again(stack, port, caplog):
    address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
    listeners = stack.enter_context(await open_listeners([address], [], 0))
    shut(listeners)

    listeners.restore()

    with socket.create_connection(("127.0.0.1", port)):
        pass
    (warning,) = caplog.records
    assert "shutdown(2)" in warning.message
    listeners.restore()
    assert [warning] == caplog.records


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells at once")
async def test_port_closed_by_shutdown_is_opened_at_once_while_watched(
    stack, port, caplog
):
    address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
    listeners = stack.enter_context(await open_listeners([address], [], 0))
    with listeners.watched():
        for times in (1, 2):
            shut(listeners)
            await eventually(lambda times=times: len(caplog.records) == times)
            with socket.create_connection(("127.0.0.1", port)):
                pass


async def test_a_queue_that_a_program_shortened_is_lengthened_again(stack, port):
    address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
    listeners = stack.enter_context(await open_listeners([address], [], 0))
    with socket.socket(fileno=os.dup(listeners.descriptors[0])) as shared:
        shared.listen(1)

    listeners.restore()

    # Nobody accepts: what is connected waits in the queue.
    for _ in range(20):
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))


async def test_ipv6_listens_beside_ipv4(stack, port):
    addresses = [
        Address(str(port), "0.0.0.0", port),
        Address(f"[::]:{port}", "::", port),
    ]

    listeners = stack.enter_context(await open_listeners(addresses, [], 0))

    assert 2 == len(set(listeners.descriptors))
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port)):
            pass


async def test_wait_for_port_is_logged_at_start_and_end(stack, caplog):
    """With who holds it, how long it is waited for at most, and how long it took."""
    holder = bound(stack)
    port = holder.getsockname()[1]
    address = Address(str(port), "0.0.0.0", port)
    opening = asyncio.create_task(open_listeners([address], [], 60))
    await eventually(lambda: "Waiting for port" in caplog.messages)
    assert "Waited for port" not in caplog.messages
    holder.close()
    stack.enter_context(await opening)

    begun, over = (vars(record) for record in caplog.records)
    assert "Waited for port" == over["message"]
    assert f"(pid {os.getpid()})" in begun["holder"]
    assert (begun["port"], begun["holder"]) == (over["port"], over["holder"])
    assert timedelta(seconds=60) == begun["timeout"]
    assert over["took"]


async def test_an_address_in_use_is_waited_for(stack):
    holder = bound(stack)
    port = holder.getsockname()[1]
    address = Address(str(port), "0.0.0.0", port)

    opening = asyncio.create_task(open_listeners([address], [], 60))
    with pytest.raises(DewyError, match="in use"):
        await open_listeners([address], [], 0.2)
    assert not opening.done()
    holder.close()
    stack.enter_context(await opening)


async def test_an_address_that_stays_in_use_names_its_holder(stack):
    port = bound(stack).getsockname()[1]

    with pytest.raises(DewyError, match=rf"--port {port} is in use by .*{os.getpid()}"):
        await open_listeners([Address(str(port), "0.0.0.0", port)], [], 0)


async def test_non_local_address_is_rejected(port):
    with pytest.raises(DewyError, match=f"--port 192.0.2.1:{port} cannot be opened"):
        await open_listeners([Address(f"192.0.2.1:{port}", "192.0.2.1", port)], [], 0)


async def test_an_offered_socket_serves_its_own_address(stack):
    offered = bound(stack)
    port = offered.getsockname()[1]
    address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)

    listeners = await open_listeners([address], [("unit.socket", offered)], 0)

    assert (offered.fileno(),) == listeners.descriptors
    assert (address.name,) == listeners.names


async def test_activation_socket_is_matched_by_port_name(stack, port):
    offered = bound(stack)
    address = Address(str(port), "0.0.0.0", port)

    listeners = await open_listeners([address], [(str(port), offered)], 0)

    assert ((str(port),), (offered.fileno(),)) == (
        listeners.names,
        listeners.descriptors,
    )


async def test_unrequested_activation_sockets_are_passed_on(stack, tmp_path: Path):
    tcp, tcp6 = bound(stack), bound(stack, "::1")
    unix = stack.enter_context(socket.socket(socket.AF_UNIX))
    unix.bind(str(tmp_path / "socket"))
    unix.listen()

    listeners = await open_listeners([], [("a", tcp), ("b", tcp6), ("c", unix)], 0)

    assert (
        f"127.0.0.1:{tcp.getsockname()[1]}",
        f"[::1]:{tcp6.getsockname()[1]}",
        str(tmp_path / "socket"),
    ) == listeners.names


async def test_without_ports_there_is_nothing_to_probe(stack):
    listeners = stack.enter_context(await open_listeners([], [], 0))

    assert (None, ()) == (listeners.lowest, listeners.descriptors)
