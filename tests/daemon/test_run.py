"""The daemon in this process: what it opens, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy import daemon
from dewy.admin.client import NotRunning, ask
from dewy.config import Address, Settings
from dewy.daemon import runtime
from dewy.deploy.lock import lock
from dewy.errors import ConfigError, DewyError, RootBusy
from dewy.notifiers import queue
from dewy.reload import Reread
from dewy.remotes.memory import MemoryStore
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.receiving import Receiver

NOT_DELIVERED = "Notice not delivered yet"
Given = Callable[..., Settings]
Status = dict[str, Any]


@pytest.fixture
def port() -> int:
    """One that was free a moment ago, with others above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return min(found, 65525)


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore.named(tmp_path.name)


@pytest.fixture
def settings(tmp_path: Path, store: MemoryStore) -> Given:
    """Settings of a dewy over *store*; keywords say what is different."""

    def given(**settings: Any) -> Settings:
        usual = {
            "command": "assets",
            "registry": f"mem://{store.name}",
            "cache": f"mem://{store.name}",
            "interval": 0.05,
            "admin_port": 0,
        }
        cache = tmp_path / ".dewy/cache"
        return Settings(root=tmp_path, cache_dir=cache, **usual | settings)

    return given


def publish(store: MemoryStore, version: str) -> None:
    store.publish(version, {"a.tar.gz": programs.tarball(programs.files(version))})


@asynccontextmanager
async def running(
    chosen: Settings, reread: Reread | None = None
) -> AsyncIterator[asyncio.Task[int]]:
    """A daemon; ended by SIGTERM if the test does not end it."""
    task = asyncio.create_task(daemon.run(chosen, reread))
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(60):
            await task


async def until(
    task: asyncio.Task[int], root: Path, met: Callable[[Status], object]
) -> Status:
    """The first status for which *met* holds."""
    found: Status = {}

    async def look() -> bool:
        nonlocal found
        assert not task.done(), task
        try:
            found = await ask(root / ".dewy", "status")
        except NotRunning:
            return False
        return bool(met(found))

    await eventually(look)
    return found


def runs(version: str) -> Callable[[Status], bool]:
    return lambda status: (status["running"] or {}).get("tag") == version


def alone(generation: int) -> Callable[[Status], bool]:
    """Whether this generation, and no other, lives."""
    return lambda status: (
        [generation] == [each["generation"] for each in status["generations"]]
    )


async def test_daemon_polls_until_terminated_by_signal(settings, store, tmp_path):
    publish(store, "v1.0.0")
    async with running(settings()) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        publish(store, "v1.1.0")
        await until(task, tmp_path, runs("v1.1.0"))
        os.kill(os.getpid(), signal.SIGINT)

    assert 0 == task.result()
    assert not (tmp_path / ".dewy/admin.sock").exists()


@pytest.mark.parametrize(
    ("how", "done"), [({}, "polling now"), ({"dry": True}, "would poll")]
)
async def test_reload_names_options_that_take_restart(
    settings, store, tmp_path, how, done
):
    publish(store, "v1.0.0")
    async with running(settings(), lambda: settings(interval=3.0)) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        told = await ask(tmp_path / ".dewy", "reload", **how)

    assert f"{done}; restart dewy for: --interval" == told["message"]


async def test_once_fails_while_release_is_kept_out(settings, store, tmp_path, caplog):
    """It exited with 0 the second time, with nothing deployed."""
    store.publish("v1.0.0", {"app.tar.gz": programs.tarball({"VERSION": "v1.0.0"})})
    given = settings(once=True, before_deploy_hook="exit 3")

    assert 1 == await daemon.run(given)
    caplog.clear()
    assert 1 == await daemon.run(given)
    (line,) = [each for each in caplog.records if "not deployed" in each.message]
    assert "v1.0.0 is in quarantine" in line.__dict__["why"]


async def test_once_tells_why_an_older_release_was_deployed(
    settings, store, tmp_path, caplog
):
    store.publish("v1.0.0", {"app.tar.gz": programs.tarball({"VERSION": "v1.0.0"})})
    store.publish("v1.1.0", {"app.tar.gz": b"no archive"})
    assert 1 == await daemon.run(settings(once=True))
    caplog.clear()

    assert 1 == await daemon.run(settings(once=True))
    (line,) = [each for each in caplog.records if "not deployed" in each.message]
    assert "v1.1.0 is in quarantine" in line.__dict__["why"]


async def test_once_waits_for_a_release_that_has_just_been_published(
    settings, tmp_path, caplog
):
    """In place, as `cp` does; one that goes on being written fails it in the end."""
    release = tmp_path / "dist/v1.0.0"
    await asyncio.to_thread(release.mkdir, parents=True)
    archive = release / "app.tar.gz"
    tarball = programs.tarball({"VERSION": "v1.0.0"})
    await asyncio.to_thread(archive.write_bytes, tarball)
    caplog.set_level(logging.INFO)
    registry = (tmp_path / "dist").as_uri() + "?artifact=app.tar.gz"

    assert 0 == await daemon.run(settings(once=True, registry=registry))
    assert "v1.0.0" == (tmp_path / "current/VERSION").read_text()
    waits = [each for each in caplog.records if "to settle" in each.message]
    assert all("still being written" in each.__dict__["why"] for each in waits)
    assert len(waits) >= 1


async def test_once_fails_if_release_is_incomplete_after_timeout(
    settings, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(vars(sys.modules["dewy.daemon.run"]), "SETTLING", 0.0)
    release = tmp_path / "dist/v1.0.0"
    await asyncio.to_thread(release.mkdir, parents=True)
    await asyncio.to_thread((release / "app.tar.gz").write_bytes, b"x")
    registry = (tmp_path / "dist").as_uri() + "?artifact=app.tar.gz"

    assert 1 == await daemon.run(settings(once=True, registry=registry))
    (line,) = [each for each in caplog.records if "not deployed" in each.message]
    assert "still being written" in line.__dict__["why"]


async def test_once_is_once(settings, store, tmp_path):
    publish(store, "v1.0.0")
    assert 0 == await daemon.run(settings(once=True))
    store.publish("v1.1.0", {"a.tar.gz": b"no archive"})
    assert 1 == await daemon.run(settings(once=True))

    assert "v1.0.0" == (tmp_path / "current/VERSION").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"registry": "gopher://x"},
        {"registry": "mem://x?colour=red"},
        {"cache": "gopher://x"},
        {"notifiers": ("gopher://x",)},
    ],
    ids=str,
)
async def test_invalid_settings_are_refused_before_files_are_created(
    settings, tmp_path, wrong
):
    """It used to crash later, with a stack trace or without."""
    with pytest.raises(ConfigError):
        await daemon.run(settings(**wrong))

    assert [] == list(tmp_path.iterdir())


async def test_second_daemon_in_same_root_is_refused(settings, tmp_path):
    with ExitStack() as held:
        await asyncio.to_thread(held.enter_context, lock(tmp_path / ".dewy"))
        with pytest.raises(RootBusy, match=f"pid {os.getpid()} works in {tmp_path}"):
            await daemon.run(settings())


async def test_a_port_that_was_chosen_must_be_had(settings):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
        program = {"command": "server", "program": programs.COMMAND}
        with pytest.raises(DewyError, match="in use by"):
            await daemon.run(settings(ports=(address,), stop_timeout=0.1, **program))


async def test_daemon_with_unreachable_registry_reports_ready(
    settings, tmp_path, unused_tcp_port, monkeypatch
):
    """READY=1 once everything is open; STOPPING=1 at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        async with running(settings(registry="file:///nonexistent")):
            await told(notified, "READY=1")
            os.kill(os.getpid(), signal.SIGTERM)
            await told(notified, "STOPPING=1")


async def test_a_program_is_kept_restarted_and_stopped(
    settings, store, tmp_path, unused_tcp_port
):
    publish(store, "v1.0.0")
    name = f"127.0.0.1:{unused_tcp_port}"
    serving = settings(
        command="server",
        program=programs.COMMAND,
        ports=(Address(name, "127.0.0.1", unused_tcp_port),),
    )
    async with running(serving) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        os.kill(os.getpid(), signal.SIGHUP)
        status = await until(task, tmp_path, alone(2))
        os.kill(status["generations"][0]["pid"], signal.SIGKILL)
        await until(task, tmp_path, alone(3))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", unused_tcp_port)

    # Started from disk, and nothing deployed again.
    async with running(serving) as task:
        await until(task, tmp_path, alone(1))
        await until(task, tmp_path, lambda status: status["last_poll"])
    assert 1 == len(store.reports)


async def test_newer_release_takes_over_from_a_program_that_hangs_at_boot(
    settings, store, tmp_path, unused_tcp_port, monkeypatch
):
    publish(store, "v1.0.0")
    name = f"127.0.0.1:{unused_tcp_port}"
    serving = settings(
        command="server",
        program=programs.COMMAND,
        ports=(Address(name, "127.0.0.1", unused_tcp_port),),
        ready="notify",
        start_timeout=3600.0,
    )
    async with running(serving) as task:
        await until(task, tmp_path, runs("v1.0.0"))
    (program,) = tmp_path.glob("releases/*/program.py")
    program.write_text(programs.NEVER_READY)
    monkeypatch.setattr(runtime, "FIRST_POLL", 0.5)
    publish(store, "v1.1.0")
    async with running(serving) as task:
        status = await until(task, tmp_path, lambda now: now["generations"])
        assert "the program is starting" in status["degraded"]
        await until(task, tmp_path, runs("v1.1.0"))
        await until(task, tmp_path, alone(2))
        await until(task, tmp_path, lambda now: not now["degraded"])


@pytest.mark.parametrize("fault", ["hang", "refuses", "429", "500"])
async def test_failing_notifier_does_not_block_deployments(
    settings, store, tmp_path, monkeypatch, caplog, fault
):
    """What there was to tell is told afterwards: once, and in order."""
    caplog.set_level(logging.DEBUG, queue.__name__)
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(queue, name, 0.02)
    if fault == "hang":
        monkeypatch.setattr(queue, "DELIVERY", 0.05)
    versions = ["v1.0.0", "v1.1.0", "v1.2.0"]
    async with Receiver() as receiver:
        await begin(receiver, fault)
        chosen = settings(notifiers=(f"{receiver.url}/hook",))
        async with running(chosen) as task:
            for version in versions:
                publish(store, version)
                await until(task, tmp_path, runs(version))
            assert [] == receiver.received
            monkeypatch.setattr(queue, "DELIVERY", 60.0)
            await receiver.stop()
            # Those that are new are offered out of their turn: all seven are known.
            waiting = "7 notices wait"
            await until(task, tmp_path, lambda now: waiting in str(now["attention"]))
            # The second to fail has begun after the first: no attempt is left that
            # has less time, and would come to nothing while it is answered.
            failed = caplog.messages.count(NOT_DELIVERED)
            await eventually(lambda: caplog.messages.count(NOT_DELIVERED) >= failed + 3)
            receiver.fault = ""
            await receiver.start()
            await eventually(lambda: deployed(receiver) == versions)

    ids = [message["id"] for message in receiver.messages]
    assert len(set(ids)) == len(ids)
    assert receiver.messages[-1]["text"].startswith("Stopping")


async def begin(receiver: Receiver, fault: str) -> None:
    """Have *receiver* be in trouble."""
    if fault == "refuses":
        await receiver.stop()
    else:
        receiver.fault = fault if fault == "hang" else int(fault)


def deployed(receiver: Receiver) -> list[str]:
    """The versions whose deployment was told, in that order."""
    told = [each["text"] for each in receiver.messages if each["kind"] == "important"]
    return [text.rpartition(" ")[2] for text in told]


async def told(notified: socket.socket, wanted: str) -> None:
    """Wait for a datagram with *wanted* in it."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while wanted not in (await loop.sock_recv(notified, 4096)).decode():
            pass


async def test_admin_event_stream_sends_history_and_ends_on_shutdown(
    settings, store, tmp_path, port, caplog
):
    """Its events end with dewy, though their client would listen on."""
    publish(store, "v1.0.0")
    caplog.set_level("INFO", "dewy.admin.http")
    async with running(settings(admin_port=port)) as task:
        await until(task, tmp_path, runs("v1.0.0"))
        (opened,) = (r.address for r in caplog.records if hasattr(r, "address"))
        reader, writer = await asyncio.open_connection(*opened.split(":"))
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(60):
            told = await reader.readuntil(b"event: history")
            told += await reader.readuntil(b"\n\n")
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(60):
            rest = await reader.read()
        writer.close()

    assert b'"mode": "assets"' in told
    assert b'"outcome": "deployed", "step": "done"' in told
    assert rest.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("chosen", [True, False])
async def test_admin_port_in_use_stops_the_start_only_if_chosen(
    settings, store, tmp_path, monkeypatch, caplog, chosen
):
    """The page is a convenience; the release is what dewy is for."""
    publish(store, "v1.0.0")
    monkeypatch.setattr("dewy.admin.http.PORTS_TRIED", 1)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        given = settings(admin_port=taken, admin_port_chosen=chosen)
        if chosen:
            with pytest.raises(DewyError, match="no free port"):
                await daemon.run(given)
            return
        async with running(given) as task:
            await until(task, tmp_path, runs("v1.0.0"))

    assert "Admin API not started" in caplog.text


async def test_control_socket_that_cannot_be_opened_does_not_stop_the_start(
    settings, store, tmp_path, monkeypatch, caplog
):
    """As in a directory of a file system without sockets."""
    publish(store, "v1.0.0")

    def listen(path: Path) -> socket.socket:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("dewy.admin.control._listen", listen)
    async with running(settings()):
        await eventually((tmp_path / "current").exists)

    assert "Control socket not opened" in caplog.text
