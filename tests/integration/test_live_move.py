"""The move from the original to dewy, and back, on a host that serves meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from dewy.system import start_time
from tests.eventually import eventually
from tests.standins import programs, roots
from tests.standins.outages import Outages, watching
from tests.standins.site import Dewy

Measured = Callable[[object], None]

# Refuses hosts it does not know, as Django and Rails do.
PICKY = programs.PROGRAM.read_text().replace(
    'b"HTTP/1.1 200 OK',
    'b"HTTP/1.1 " + (b"200 OK" if b"Host: localhost\\r\\n" in head'
    ' or b"/up" not in head else b"400 Bad Request") + b"',
)

# The original's server mode: it listens, and its program inherits the socket.
ORIGINAL = """
import os, signal, socket, subprocess, sys
port, program = int(sys.argv[1]), sys.argv[2:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
listener.listen(128)
fd = listener.fileno()
names = {"SERVER_STARTER_PORT": f"{port}={fd}", "SERVER_STARTER_GENERATION": "1"}
worker = subprocess.Popen(program, env={**os.environ, **names}, pass_fds=[fd])
print(worker.pid, flush=True)
def stop(*_):
    worker.terminate()
signal.signal(signal.SIGTERM, stop)
raise SystemExit(worker.wait())
"""

# Each is a flag of another of the original's commands.
FOREIGN = ("--name", "shop", "--replicas", "2", "--runtime", "podman", "--cmd=-v")

# How many restarts an outage may take, in the best of so many attempts.
LONGER = 3
ATTEMPTS = 3


def deploy_as_the_original_does(root: Path, version: str, directory: str) -> None:
    """A directory, an absolute link, the artifact and its key in the cache."""
    content = programs.files(version)
    target = programs.unpacked(root / "releases" / directory, content)
    (root / "current.tmp").symlink_to(target)
    (root / "current.tmp").replace(root / "current")
    cache = root / ".dewy" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"{version}--app.tar.gz").write_bytes(programs.tarball(content))
    (cache / "current").write_text(f"{version}--app.tar.gz")


@asynccontextmanager
async def original(root: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The original's `server` with the release that `current` leads to; stopped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", ORIGINAL, str(port), *programs.COMMAND),
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await eventually(lambda: _answers(port))
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def dewy(tmp_path: Path, unused_tcp_port: int) -> Dewy:
    """With flags of other commands, as the original's command line had them."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=FOREIGN)
    dewy.root.mkdir()
    dewy.publish("v1.0.0")
    deploy_as_the_original_does(dewy.root, "v1.0.0", "20310203T040506Z")
    return dewy


async def test_check_beside_the_running_original_foretells_the_start(
    dewy: Dewy,
) -> None:
    """Who holds the port, and which flags have no effect; nothing is refused."""
    words = dewy.arguments()[3:]
    async with original(dewy.root, dewy.port):
        said = await roots.say(dewy.root, "check", *words)
        still = await _answers(dewy.port)

    assert (0, "", True) == (said.status, said.err, still)
    assert "no effect with server: --name, --replicas, --cmd, --runtime" in said.out
    assert f"{dewy.port} is held by python" in said.out
    assert "which runs in this root" in said.out
    assert "release:  v1.0.0" in said.out


async def test_back_and_forth_with_releases_in_between_runs_the_newest(
    dewy: Dewy,
) -> None:
    """The newest that either deployed runs, with the registry away."""
    async with watching(dewy.port) as outages:
        async with original(dewy.root, dewy.port):
            await outages.goes_on()
        async with dewy:
            await dewy.runs("v1.0.0")
            dewy.publish("v1.1.0")
            await dewy.runs("v1.1.0")
            await outages.goes_on()
        outages.forget()
        async with dewy:
            await dewy.runs("v1.1.0")
            await outages.goes_on()
        assert ["v1.1.0"] == outages.versions
        deploy = deploy_as_the_original_does
        await asyncio.to_thread(deploy, dewy.root, "v1.2.0", "20310203T050607Z")
        async with original(dewy.root, dewy.port):
            await outages.goes_on()
            outages.forget()
        await asyncio.to_thread(shutil.move, dewy.registry, dewy.base / "away")
        async with dewy:
            await dewy.until(lambda now: (now["running"] or {}).get("tag") == "v1.2.0")
            await dewy.polls()
            await outages.goes_on()
        assert ["v1.2.0"] == outages.versions


async def test_worker_that_the_original_left_is_ended_in_order(dewy: Dewy) -> None:
    """It holds the port after kill -9; `check` foretells what becomes of it."""
    async with watching(dewy.port) as outages:
        worker = await killed_original(dewy, outages)
        checked = await roots.say(dewy.root, "check", *dewy.arguments()[3:])
        async with dewy:
            await dewy.runs("v1.0.0")
            await outages.goes_on()
            assert start_time(worker) is None

    assert (0, "") == (checked.status, checked.err)
    assert f"(pid {worker}), which runs in this root" in checked.out
    assert "dewy ends it in order" in checked.out
    assert f"(pid {worker})" in dewy.log
    assert ["v1.0.0"] == outages.versions


async def killed_original(dewy: Dewy, outages: Outages) -> int:
    """The worker that it left behind, which goes on answering."""
    async with original(dewy.root, dewy.port) as process:
        await outages.goes_on()
        assert process.stdout
        worker = int(await process.stdout.readline())
        process.kill()
    await outages.goes_on()
    return worker


async def test_move_is_no_longer_an_outage_than_a_restart(
    dewy: Dewy, measured: Measured
) -> None:
    """After an orderly end, after kill -9, and with the registry away."""
    ratios: list[float] = []
    async with watching(dewy.port) as outages:
        # Each outage is short enough for a neighbor's start to double it once.
        while not ratios or (min(ratios) >= LONGER and len(ratios) < ATTEMPTS):
            moves = [await _move_after_an_end(dewy, outages)]
            moves.append(await _move_after_a_kill(dewy, outages))
            away = dewy.base / "away"
            await asyncio.to_thread(shutil.move, dewy.registry, away)
            moves.append(await _move_after_an_end(dewy, outages))
            await asyncio.to_thread(shutil.move, away, dewy.registry)
            restart = await _served(dewy, outages)
            measured(f"moves {moves}, restart {restart:.2f} s")
            ratios.append(max(moves) / restart)

    assert min(ratios) < LONGER


async def _move_after_an_end(dewy: Dewy, outages: Outages) -> float:
    async with original(dewy.root, dewy.port):
        await outages.goes_on()
    return await _served(dewy, outages)


async def _move_after_a_kill(dewy: Dewy, outages: Outages) -> float:
    await killed_original(dewy, outages)
    return await _served(dewy, outages)


async def _served(dewy: Dewy, outages: Outages) -> float:
    """Seconds without an answer until dewy's program gave some."""
    outages.forget()
    async with dewy:
        await dewy.until(lambda now: now["running"] is not None)
        await outages.goes_on()
        return outages.forget()


async def test_foreign_holder_of_the_port_is_named_at_once(dewy: Dewy) -> None:
    """Nothing of this root is in its command line, and it is not waited for."""
    elsewhere = dewy.base / "elsewhere"
    elsewhere.mkdir()
    dewy.options = ("--stop-timeout", "1h")
    command = dewy.arguments()[3:]
    deploy_as_the_original_does(elsewhere, "v9.0.0", "20310203T040506Z")
    async with original(elsewhere, dewy.port) as holder:
        checked = await roots.say(dewy.root, "check", *command)
        run = await roots.say(dewy.root, *command)
        assert await _answers(dewy.port)

    assert (1, 1) == (checked.status, run.status)
    for said in (checked.out, run.err):
        assert f"{dewy.port} is in use by" in said
        assert f"(pid {holder.pid})" in said


async def test_program_with_a_list_of_hosts_is_healthy(dewy: Dewy) -> None:
    """Health checks ask for localhost, as the original's do."""
    dewy.options = ("--health-path", "/up", "--health-timeout", "60s")
    dewy.publish("v1.1.0", PICKY)
    async with dewy:
        await dewy.runs("v1.1.0")
        assert "v1.1.0" == await dewy.fetch()


async def test_twelve_dewys_work_on_a_host(tmp_path: Path) -> None:
    """There are ten ports for the page; the others go without, and `ps` has all."""
    registry = tmp_path / "registry"
    artifact = programs.tarball(programs.files("v1.0.0"))
    programs.publish(registry, "v1.0.0", artifact)
    started = []
    async with AsyncExitStack() as stack:
        for number in range(12):
            base = tmp_path / f"app-{number}"
            base.mkdir()
            dewy = Unnumbered(base, command="assets", registry_url=f"file://{registry}")
            started.append(await stack.enter_async_context(dewy))
        for dewy in started:
            await dewy.runs("v1.0.0")
        told = await roots.say(tmp_path, "ps")
        last = str(started[-1].root)
        looked = await roots.say(tmp_path, "-C", last, "status", "--check")
        named = await roots.say(Path("/"), "-C", "registry", "status")

    for dewy in started:
        assert f" {dewy.root}\n" in f"{told.out}\n"
    assert 0 == looked.status, looked.out
    # All have the same name, so it stands for none.
    assert (2, True) == (named.status, "dewys of that name run in" in named.err)
    warned = sum("Admin API not started" in dewy.log for dewy in started)
    assert warned >= 2


class Unnumbered(Dewy):
    """A dewy that is not told its admin port."""

    def arguments(self) -> list[str]:
        words = super().arguments()
        at = words.index("--admin-port")
        return [*words[:at], *words[at + 2 :]]


@pytest.mark.parametrize(
    ("words", "foretold"),
    [
        (("--port", "{taken}"), "is in use by"),
        (("--interval", "0"), "--interval '0' must be longer than zero"),
        (("--notifier", "slack://x"), "SLACK_TOKEN"),
        (("--cache", "nowhere://x"), "nowhere://"),
    ],
)
async def test_each_refusal_of_the_start_is_foretold(
    dewy: Dewy, words: tuple[str, ...], foretold: str
) -> None:
    """In the words of the command, and with its exit status."""
    with socket.create_server(("", 0)) as holder:
        taken = str(holder.getsockname()[1])
        line = [word.format(taken=taken) for word in words]
        rest = ("--registry", f"file://{dewy.registry}")
        command = ("server", *rest, *line, "--", "current/program.py")
        checked = await roots.say(dewy.root, "check", *command, SLACK_TOKEN="")
        run = await roots.say(dewy.root, *command, SLACK_TOKEN="")

    assert foretold in run.err
    assert foretold in checked.out + checked.err
    assert run.status == checked.status
