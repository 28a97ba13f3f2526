"""The proxy alone, in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from dewy.config import Endpoint, Settings
from dewy.errors import ConfigError
from dewy.proxy import standalone
from dewy.systemd import Service
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask


def settings(root: Path, **given: object) -> Settings:
    return Settings(
        command="proxy",
        root=root,
        cache_dir=root,
        proxy_threads=1,
        **given,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def _limit_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dewy.system.raise_descriptor_limit", lambda: None)


def offer(monkeypatch: pytest.MonkeyPatch, *sockets: socket.socket) -> None:
    """Have the service manager pass *sockets*."""
    named = [(f"web{number}", sock) for number, sock in enumerate(sockets)]
    monkeypatch.setattr(Service, "listeners", lambda self: named)


async def test_passed_socket_is_relayed_from(
    tmp_path: Path, application: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --listen, all that were passed."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        address = passed.getsockname()
        offer(monkeypatch, passed)
        backend = (await application("it")).endpoint
        running = asyncio.create_task(
            standalone.run(settings(tmp_path, backends=(backend,)))
        )
        stream = await asyncio.open_connection(*address)
        assert "it" == await ask(stream)
        stream[1].close()
        os.kill(os.getpid(), signal.SIGTERM)
        assert 0 == await running


async def test_goodbye_begins_with_the_drain(
    tmp_path: Path, application: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While connections are still open, and ports free already."""
    left = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as passed:
        offer(monkeypatch, passed)
        backend = (await application("it")).endpoint
        given = settings(tmp_path, backends=(backend,), drain_time=3600.0)
        running = asyncio.create_task(
            standalone.run(given, lambda proxy: nullcontext(left.set))
        )
        stream = await asyncio.open_connection(*passed.getsockname())
        assert "it" == await ask(stream)
        os.kill(os.getpid(), signal.SIGTERM)
        await left.wait()
        assert not running.done()
        stream[1].close()
        assert 0 == await running


async def test_unused_socket_is_told(
    tmp_path: Path,
    application: Applications,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The unit and the command line do not agree."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        offer(monkeypatch, passed)
        backend = (await application("it")).endpoint
        given = settings(
            tmp_path, listen=(Endpoint("127.0.0.1", 0),), backends=(backend,)
        )
        running = asyncio.create_task(standalone.run(given))
        await eventually(lambda: "Passed socket is not used" in caplog.messages)
        os.kill(os.getpid(), signal.SIGTERM)
        assert 0 == await running


async def test_nothing_to_listen_at_is_an_error(tmp_path: Path) -> None:
    """Neither --listen nor a passed socket."""
    with pytest.raises(ConfigError, match="--listen"):
        await standalone.run(settings(tmp_path, backends=(Endpoint("127.0.0.1", 1),)))
