"""`dewy proxy`, as people run it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Dewy
from tests.standins.plane import (
    DEADLINE,
    LOOPBACK,
    Origin,
    exactly,
    listening,
    rest,
    soon,
    until_reset,
)
from tests.standins.proxies import RELAYS, Running, require, running

Start = Callable[..., Running]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A backend."""
    with listening() as listener:
        yield Origin(listener)


@pytest.fixture(params=RELAYS)
def start(
    request: pytest.FixtureRequest, origin: Origin, tmp_path: Path
) -> Iterator[Start]:
    """Starts `dewy proxy` before *origin*, with either relay."""
    require(request.param)
    with ExitStack() as stack:

        def start(*options: str, limit: int = 4096) -> Running:
            port = origin.address[1]
            return stack.enter_context(
                running(request.param, port, tmp_path, *options, limit=limit)
            )

        yield start


def served(proxy: Running, origin: Origin) -> tuple[socket.socket, socket.socket]:
    """A client, and the connection it got."""
    client = proxy.connect()
    client.sendall(b"?")
    server = origin.accept()
    assert b"?" == exactly(server, 1)
    return client, server


def test_sigterm_drains(start: Start, origin: Origin) -> None:
    """No new connections at once; the end with the last open one; status 0."""
    proxy = start("--drain-time", "60")
    client, server = served(proxy, origin)
    with client, server:
        proxy.process.send_signal(signal.SIGTERM)
        soon(lambda: "Proxy accepts no more" in proxy.log.read_text())
        with pytest.raises(ConnectionRefusedError):
            proxy.connect()
        server.sendall(b"!")
        assert b"!" == exactly(client, 1)
        assert proxy.process.poll() is None
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(server)
        server.close()
        assert b"" == rest(client)
    assert 0 == proxy.process.wait(DEADLINE)


def test_connections_open_at_drain_deadline_are_reset(
    start: Start, origin: Origin
) -> None:
    """It must not look complete."""
    proxy = start("--drain-time", "200ms")
    client, server = served(proxy, origin)
    proxy.process.send_signal(signal.SIGTERM)
    assert b"" == until_reset(client)
    assert b"" == until_reset(server)
    assert 0 == proxy.process.wait(DEADLINE)
    assert "cut=1" in proxy.log.read_text()


def test_second_signal_cuts(start: Start, origin: Origin) -> None:
    """Whoever asks twice is in a hurry."""
    proxy = start("--drain-time", "1h")
    client, server = served(proxy, origin)
    proxy.process.send_signal(signal.SIGTERM)
    soon(lambda: "Proxy accepts no more" in proxy.log.read_text())
    proxy.process.send_signal(signal.SIGINT)
    assert b"" == until_reset(client)
    assert b"" == until_reset(server)
    assert 0 == proxy.process.wait(DEADLINE)


def test_shortage_of_descriptors_passes(start: Start, origin: Origin) -> None:
    """
    The original's accept loop span at 100 % CPU on a persistent error. Here newcomers
    wait, which costs next to nothing, and are served when there is room again.
    """
    proxy = start("--max-connections", "1000", "--proxy-threads", "1", limit=64)
    assert "--max-connections 1000 needs 2328 descriptors" in proxy.log.read_text()
    accepting = threading.Thread(target=_accept_all, args=(origin,), daemon=True)
    accepting.start()
    with ExitStack() as stack:
        for _ in range(60):
            with suppress(OSError):
                stack.enter_context(proxy.connect())
        soon(lambda: "Accepting failed" in proxy.log.read_text())
        before, began = proxy.cpu(), time.monotonic()
        assert proxy.process.poll() is None
        with suppress(TimeoutError), listening() as nobody:
            Origin(nobody).accept(2.0)  # a while
        assert proxy.cpu() - before < 0.05 * (time.monotonic() - began) + 0.02
        told = proxy.log.read_text().count("Accepting failed")
        assert told <= 1 + (time.monotonic() - began + DEADLINE) // 10
    soon(lambda: _answered(proxy))


def _accept_all(origin: Origin) -> None:
    kept = []
    with suppress(OSError):
        while True:
            kept.append(origin.accept())
            threading.Thread(target=_answer, args=(kept[-1],), daemon=True).start()


def _answer(server: socket.socket) -> None:
    with server, suppress(OSError):
        while data := server.recv(100):
            server.sendall(data)


def _answered(proxy: Running) -> bool:
    with suppress(ConnectionError), proxy.connect() as client:
        client.sendall(b"?")
        return b"?" == exactly(client, 1)
    return False


@pytest.mark.parametrize("relay", RELAYS)
def test_sighup_changes_backends_without_losing_a_connection(
    relay: str, origin: Origin, tmp_path: Path
) -> None:
    """As dewy.toml has them then; one is given by a host name."""
    require(relay)
    config = tmp_path / "dewy.toml"
    config.write_text(f'backend = "localhost:{origin.address[1]}"')
    with (
        listening() as listener,
        running(relay, None, tmp_path, "--config", str(config)) as proxy,
    ):
        other = Origin(listener)
        old, server = served(proxy, origin)
        config.write_text(f'backend = ["{LOOPBACK}:{other.address[1]}"]')
        proxy.process.send_signal(signal.SIGHUP)
        soon(lambda: "Configuration reloaded" in proxy.log.read_text())
        new, their_server = served(proxy, other)
        with server, old, their_server, new:
            server.sendall(b"!")
            assert b"!" == exactly(old, 1)
        config.write_text('backend = "nowhere"')
        proxy.process.send_signal(signal.SIGHUP)
        soon(lambda: "Configuration not reloaded" in proxy.log.read_text())
        end = served(proxy, other)
        with end[1], end[0]:
            proxy.process.send_signal(signal.SIGTERM)
            soon(lambda: "Proxy accepts no more" in proxy.log.read_text())
        assert 0 == proxy.process.wait(DEADLINE)


def test_status_and_reload_reach_the_proxy(
    start: Start, origin: Origin, tmp_path: Path
) -> None:
    """In the directory where it was started; a client that is served is counted."""
    proxy = start()
    command = [sys.executable, "-m", "dewy"]
    client, server = served(proxy, origin)
    with server, client:
        status = subprocess.run(
            [*command, "status"], cwd=tmp_path, capture_output=True, text=True
        )
        reload = subprocess.run(
            [*command, "reload"], cwd=tmp_path, capture_output=True, text=True
        )
    assert f"backend {LOOPBACK}:{origin.address[1]}" in status.stdout
    assert "is well" in status.stdout
    assert (0, "nothing changed\n") == (reload.returncode, reload.stdout)
    proxy.process.send_signal(signal.SIGTERM)
    assert 0 == proxy.process.wait(DEADLINE)
    assert not (tmp_path / ".dewy" / "proxy.sock").exists()


def test_proxy_needs_a_backend(dewy: Dewy) -> None:
    """And somewhere to listen."""
    assert 2 == dewy("proxy", "--listen", "8080").status
    ended = dewy("proxy", "--backend", "127.0.0.1:1")
    assert 2 == ended.status
    assert "--listen" in ended.err


def test_addresses_are_checked(dewy: Dewy) -> None:
    """Before anything starts."""
    ended = dewy("proxy", "--listen", "8080", "--backend", "app:http")
    assert 2 == ended.status
    assert "--backend 'app:http' must hold a port" in ended.err


def test_address_in_use_is_a_failure(dewy: Dewy, origin: Origin) -> None:
    """One that another try may mend: exit status 1."""
    taken = f"{LOOPBACK}:{origin.address[1]}"
    ended = dewy("proxy", "--listen", taken, "--backend", "127.0.0.1:1")
    assert 1 == ended.status
    assert f"{taken} is in use" in ended.err


def test_version_names_relay_and_loop(dewy: Dewy) -> None:
    """Support questions are shorter for it."""
    pattern = r"dewy version: \S+ \[(compiled|pure Python), (uvloop|asyncio)\]\n"
    assert re.fullmatch(pattern, dewy("--version").out)
