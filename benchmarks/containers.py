"""A container behind dewy beside the same container on its engine's own port."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.needs import engine_socket
from tests.standins.images import Publisher
from tests.standins.registry import RegistryServer

from .contestants import Contestant
from .nginx_image import nginx_image
from .processes import free_ports, running

DIRECT = "through dewy"
RELAYED = "through dewy, published port"
PUBLISHED = "published port"

IMAGE = "benchmarks/container"
INNER = 8080
PATIENCE = 60.0


@contextmanager
def contestants(directory: Path) -> Iterator[list[Contestant]]:
    """
    One container reached through dewy directly, and at the port Docker published;
    and another whose published port dewy goes to.

    Raises RuntimeError where there is no Docker.
    """
    place = engine_socket("docker")
    if place is None:
        raise RuntimeError("no Docker runs here; dev/start-services starts it")
    session = uuid.uuid4().hex[:12]
    # The comparison may be made twice, and each dewy wants a root of its own.
    directory = Path(tempfile.mkdtemp(prefix="containers-", dir=directory))
    with ExitStack() as stack:
        registry = stack.enter_context(RegistryServer(directory / "registry"))
        asyncio.run(_publish(registry.host, session))
        stack.callback(_sweep, session)
        started = [
            stack.enter_context(_dewy(directory, registry.host, place, way, session))
            for way in ("auto", "published")
        ]
        direct, relayed = started
        port = _published_port(session, "auto")
        yield [
            Contestant(DIRECT, direct.port, direct.pid),
            Contestant(RELAYED, relayed.port, relayed.pid),
            # What it costs is spent by Docker's own process, which is not counted.
            Contestant(PUBLISHED, port, os.getpid()),
        ]


async def _publish(host: str, session: str) -> None:
    async with Publisher(host, {"dewy.benchmark": session}) as publisher:
        await publisher.publish(IMAGE, "v1.0.0", ports=(INNER,), program=nginx_image())


@contextmanager
def _dewy(
    directory: Path, registry: str, engine: str, way: str, session: str
) -> Iterator[Contestant]:
    (port,) = free_ports(1)
    root = directory / way
    root.mkdir()
    name = f"bench-{session}-{way}"
    command = [sys.executable, "-m", "dewy", "container", "--name", name]
    command += ["--registry", f"img://{registry}/{IMAGE}", "--interval", "1h"]
    command += ["--port", f"{port}:{INNER}", "--upstream", way, "--admin-port", "0"]
    command += ["--min-healthy", "0", "--proxy-threads", "1"]
    environment = {"DEWY_REQUIRE_EXTENSIONS": "1", "DOCKER_HOST": engine}
    here = os.environ.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = f"{Path.cwd()}:{here}"
    with running(command, port, directory / f"{way}.log", environment, cwd=root) as pid:
        _until_deployed(root)
        yield Contestant(way, port, pid)


def _until_deployed(root: Path) -> None:
    state = root / ".dewy" / "state.json"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if state.exists() and json.loads(state.read_text())["running"]:
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing was deployed in {root} within {PATIENCE:g} s")


def _published_port(session: str, way: str) -> int:
    found = _docker("ps", "--quiet", "--filter", f"name=bench-{session}-{way}")
    shown = _docker("port", found.strip(), f"{INNER}/tcp")
    return int(shown.splitlines()[0].rpartition(":")[2])


def _sweep(session: str) -> None:
    """Remove what is labelled as ours: the processes were killed, not stopped."""
    label = f"label=dewy.benchmark={session}"
    ours = _docker("ps", "--all", "--quiet", "--filter", label).split()
    if ours:
        _docker("rm", "--force", "--volumes", *ours)
    for image in set(_docker("images", "--quiet", "--filter", label).split()):
        _docker("rmi", "--force", image)
    for network in _docker("network", "ls", "--format", "{{.Name}}").split():
        if f"bench-{session}" in network:
            _docker("network", "rm", network)


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode:
        raise RuntimeError(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout
