"""
The parts of a machine that some tests need.

Without a part its tests are skipped, and the summary says so. Where
`DEWY_TEST_REQUIRE` names the part, or is `all`, they fail instead: a run that
is meant to be complete can't pass by leaving things out.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from dewy.containers.engines.opening import Runtime, candidates
from dewy.errors import ConfigError
from tests.standins import fuse
from tests.standins.namespace import in_namespace

# As it was before the tests forgot the settings of whoever runs them.
ENVIRON = dict(os.environ)
STARTED = {"docker", "podman"}


def needs(*parts: str) -> pytest.MarkDecorator:
    """Mark a test, or a module as `pytestmark`, as needing *parts*."""
    return pytest.mark.needs(*parts)


def require(part: str, present: bool | None = None) -> None:
    """
    Skip the running test, or fail it where *part* is required, if it is missing.

    Args:
        part: A key of `PARTS`, or else the name of a program.

        present: Whether it is there, for parts only the caller can judge.
    """
    if found(part) if present is None else present:
        return
    script = "start-services starts" if part in STARTED else "install-services installs"
    reason = f"missing: {part} (dev/{script} it)"
    if required(part):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def told(reasons: Iterable[str]) -> set[str]:
    """The parts that *reasons* to skip a test call missing."""
    found = (re.search(r"missing: (.+?) \(dev/", reason) for reason in reasons)
    return {match[1] for match in found if match}


def required(part: str) -> bool:
    """Whether this run counts a missing *part* as a failure."""
    wanted = os.environ.get("DEWY_TEST_REQUIRE", "").replace(",", " ").split()
    return "all" in wanted or part in wanted


@cache
def found(part: str) -> bool:
    """Whether this machine has *part*."""
    probe = PARTS.get(part)
    return which(part) is not None if probe is None else probe()


def _starlet() -> bool:
    """Perl's Starlet, and the `start_server` whose protocol it speaks."""
    if not (which("start_server") and which("plackup")):
        return False
    loaded = subprocess.run(["perl", "-MStarlet", "-e", "1"], capture_output=True)
    return loaded.returncode == 0


def _raw_sockets() -> bool:
    """The right to see this host's packets, as root has it on Linux."""
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        return False
    try:
        socket.socket(family, socket.SOCK_DGRAM, 0).close()
    except PermissionError:
        return False
    return True


def _namespaces() -> bool:
    """The right to make network namespaces, as root has it on Linux."""
    with suppress(OSError):
        in_namespace(int)
        return True
    return False


def postgresql() -> Path | None:
    """The programs of the newest PostgreSQL server, which Debian keeps off the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parent if newest else None


@cache
def engine_socket(runtime: Runtime) -> str | None:
    """Where a container engine runs already, as `unix://PATH` or `tcp://…`."""
    try:
        places = candidates(runtime, ENVIRON, os.getuid())
    except ConfigError:
        return None
    return next((p.url for p in places if not p.path or _accepts(p.path)), None)


def _accepts(path: str) -> bool:
    """Whether something listens at that Unix socket."""
    with socket.socket(socket.AF_UNIX) as knock:
        return knock.connect_ex(path) == 0


def _podman() -> bool:
    """A Podman that runs, and takes images from the tests' registry without TLS."""
    place = engine_socket("podman")
    if place is None or not place.startswith("unix://"):
        return False
    connection = HTTPConnection("engine", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(place.removeprefix("unix://"))
        connection.request("GET", "/v4.0.0/libpod/info")
        registries = json.load(connection.getresponse()).get("registries") or {}
    except (OSError, ValueError):
        return False
    finally:
        connection.close()
    return bool((registries.get("127.0.0.1") or {}).get("Insecure"))


PARTS: dict[str, Callable[[], bool]] = {
    "compiler": lambda: any(map(which, ("cc", "gcc", "clang"))),
    "docker": lambda: engine_socket("docker") is not None,
    # It mounts, so it is never done unasked.
    "fuse": lambda: required("fuse") and fuse.usable(),
    "gunicorn": lambda: find_spec("gunicorn") is not None,
    "grpc": lambda: all(map(find_spec, ("grpc", "google", "google.protobuf"))),
    # It adds links to this host, so it is never done unasked.
    "links": lambda: required("links") and which("ip") is not None and _namespaces(),
    "mail": lambda: all(map(find_spec, ("aiosmtplib", "aiosmtpd"))),
    "namespaces": _namespaces,
    "podman": _podman,
    "postgresql": lambda: postgresql() is not None,
    "raw-sockets": _raw_sockets,
    "slack": lambda: find_spec("slack_sdk") is not None,
    "starlet": _starlet,
    "telemetry": lambda: all(map(find_spec, ("opentelemetry", "prometheus_client"))),
    "websockets": lambda: find_spec("websockets") is not None,
}
