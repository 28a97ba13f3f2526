"""The way to the container engine of this host: its socket, and deadlines of calls."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Literal
from urllib.parse import urlsplit

from ... import urls
from ...errors import ConfigError, EngineError, ImplementationUnavailable, install_hint
from ..model import Engine

__all__ = [
    "STANDARD",
    "EngineDeadlines",
    "Runtime",
    "open_engine",
]


@dataclass(frozen=True, slots=True)
class EngineDeadlines:
    """
    Seconds after which an engine counts as hanging.

    Attributes:
        hello: Limit for its first answer; Podman's service takes a second to wake.

        look: Limit for a call that changes nothing.

        change: Limit for creating, starting, removing and listing images, which wait
            for disks. A replica being started waits for it, and no other does.

        margin: Limit for a stop, beyond the time given to the container.

        health: Limit for one run of a container's HEALTHCHECK.

        silence: Limit between two signs of life while an image is pulled.

        quiet: Time without an event before the engine is asked whether it is alive.

        backoff: Longest delay before events are requested again.
    """

    hello: float = 15.0
    look: float = 10.0
    change: float = 60.0
    margin: float = 15.0
    health: float = 60.0
    silence: float = 300.0
    quiet: float = 20.0
    backoff: float = 5.0


STANDARD = EngineDeadlines()


Runtime = Literal["docker", "podman"]
Finding = Literal["there", "absent", "denied", "silent"]

TITLES: Mapping[str, str] = {"docker": "Docker", "podman": "Podman"}
VARIABLES: Mapping[str, str] = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
STARTED_BY: Mapping[str, str] = {
    "docker": "systemctl start docker",
    "podman": "systemctl enable --now podman.socket",
}
PERMITTED_BY: Mapping[str, str] = {
    "docker": "run dewy as a member of the group docker, or as root",
    "podman": "run dewy as the user whose Podman it is",
}
PATIENCE = 5.0
"""Seconds to wait for a socket to accept."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """
    Address at which an engine may listen.

    Attributes:
        url: `unix:///run/docker.sock`, `tcp://127.0.0.1:2375` …

        variable: Environment variable that names it; "" for a usual place.
    """

    url: str
    variable: str = ""

    @property
    def path(self) -> str:
        """Path of a Unix socket; "" for other addresses."""
        scheme, _, path = self.url.partition("://")
        return path if scheme == "unix" else ""

    @property
    def local(self) -> bool:
        """Whether the address is on this host."""
        host = urlsplit(self.url).hostname or ""
        return bool(self.path) or host == "localhost" or _is_loopback(host)

    @property
    def shown(self) -> str:
        """Address in a form that is safe to show."""
        named = f" (from {self.variable})" if self.variable else ""
        return (self.path or urls.redact(self.url)) + named


def candidates(
    runtime: Runtime, environ: Mapping[str, str], uid: int
) -> list[EngineAddress]:
    """
    Return the addresses to look for an engine of *runtime*, best first.

    Raises:
        ConfigError: a variable names an address that cannot be used.
    """
    variable = VARIABLES[runtime]
    if environ.get(variable):
        return [_named(variable, environ[variable])]
    if runtime == "docker":
        return [EngineAddress(f"unix://{path}") for path in _docker_paths(environ)]
    # Tools that know Docker only are often pointed at Podman's socket.
    other = environ.get("DOCKER_HOST", "")
    if other.startswith("unix://") and "podman" in other:
        return [_named("DOCKER_HOST", other)]
    return [EngineAddress(f"unix://{path}") for path in _podman_paths(environ, uid)]


def _docker_paths(environ: Mapping[str, str]) -> list[str]:
    paths = ["/run/docker.sock", "/var/run/docker.sock"]
    if directory := environ.get("XDG_RUNTIME_DIR"):
        paths.append(f"{directory}/docker.sock")
    if home := environ.get("HOME"):
        paths.append(f"{home}/.docker/run/docker.sock")
    return paths


def _podman_paths(environ: Mapping[str, str], uid: int) -> list[str]:
    directory = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    rootful, rootless = "/run/podman/podman.sock", f"{directory}/podman/podman.sock"
    return [rootful, rootless] if uid == 0 else [rootless, rootful]


def _named(variable: str, value: str) -> EngineAddress:
    scheme, separator, rest = value.partition("://")
    shown = urls.redact(value)
    if scheme == "ssh":
        raise ConfigError(
            f"{variable}={shown} is out of reach: dewy runs on the engine's own host "
            "and needs its socket, such as unix:///run/docker.sock"
        )
    if scheme == "unix" and rest.startswith("/"):
        return EngineAddress(value, variable)
    remote = separator and scheme in {"tcp", "http", "https"}
    if remote and urls.split(value, variable).hostname:
        return EngineAddress(value, variable)
    raise ConfigError(
        f"{variable}={shown} must be of the form unix:///PATH or tcp://HOST:PORT"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def choose(runtime: Runtime, places: Sequence[EngineAddress]) -> EngineAddress:
    """
    Return the first of *places* that accepts connections.

    Raises:
        ConfigError: no engine was found; the message says in one line what would be
            right.
        EngineError: the engine is there but does not answer, which may be temporary.
    """
    findings: list[Finding] = []
    for place in places:
        found = await asyncio.to_thread(look, place.path) if place.path else "there"
        if found == "there":
            return place
        findings.append(found)
    why = missing(runtime, places, findings)
    # A daemon that is down is worth another start of ours; a wrong option is not.
    raise EngineError(why) if "silent" in findings else ConfigError(why)


def look(path: str) -> Finding:
    """Probe the Unix socket *path*; blocks for `PATIENCE` seconds at most."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(PATIENCE)
        try:
            knock.connect(path)
        except PermissionError:
            return "denied"
        except (FileNotFoundError, NotADirectoryError):
            return "absent"
        except OSError:
            return "silent" if Path(path).is_socket() else "absent"
    return "there"


async def is_remote(place: EngineAddress) -> bool:
    """
    Return whether the engine that answers at *place* belongs to another host.

    A host that connects to one of its own addresses connects from that address.

    Raises:
        EngineError: the engine does not answer any more.
    """
    if place.local:
        return False
    where = urlsplit(place.url)
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(where.hostname, where.port or 80)
    except OSError as exc:
        raise EngineError(f"{place.shown}: {exc}") from exc
    own, peer = (writer.get_extra_info(f"{end}name")[0] for end in ("sock", "peer"))
    writer.close()
    return bool(own != peer)


def missing(
    runtime: Runtime, places: Sequence[EngineAddress], findings: Sequence[Finding]
) -> str:
    """Return why none of *places*, each with its finding, can be used."""
    title = TITLES[runtime]
    option = f"--runtime {runtime}"
    by_finding = dict(zip(reversed(findings), reversed(places), strict=True))
    if place := by_finding.get("denied"):
        return f"{option}: no permission for {place.shown}; {PERMITTED_BY[runtime]}"
    start = f"start it ({STARTED_BY[runtime]})"
    if place := by_finding.get("silent"):
        return f"{option}: nothing answers at {place.shown}; {start}"
    tried = ", ".join(place.shown for place in places)
    other = "docker" if runtime == "podman" else "podman"
    return (
        f"{option}: {title} is not running here (tried {tried}); {start}, "
        f"or set {VARIABLES[runtime]}, or use --runtime {other}"
    )


SYSTEMD = Path("/run/systemd/system")


@asynccontextmanager
async def open_engine(
    runtime: Runtime, environ: Mapping[str, str], deadlines: EngineDeadlines = STANDARD
) -> AsyncIterator[Engine]:
    """
    Find the engine of *runtime* on this host by *environ* or in the usual places.

    Raises:
        ConfigError: no engine was found, or none that may be used.
        EngineError: the engine does not answer correctly.
        ImplementationUnavailable: aiodocker is missing.
    """
    place = await choose(runtime, candidates(runtime, environ, os.getuid()))
    wire, docker = await asyncio.to_thread(_implementation)
    async with wire.connected(place, TITLES[runtime], environ, deadlines) as line:
        try:
            engine: Engine = await docker.recognised(
                line,
                systemd=await asyncio.to_thread(SYSTEMD.is_dir),
                linux=sys.platform == "linux",
            )
        except EngineError as exc:
            raise EngineError(_silent(runtime, place, exc)) from exc
        if runtime == "podman" and engine.flavour == "docker":
            raise ConfigError(
                f"--runtime podman: Docker answers at {place.shown}; use --runtime "
                "docker"
            )
        yield engine


def _implementation() -> tuple[ModuleType, ModuleType]:
    try:
        wire = import_module(".client", __package__)
        return wire, import_module(".docker", __package__)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "dewy":
            raise
        raise ImplementationUnavailable(
            f"containers need {exc.name}; {install_hint('container')}"
        ) from exc


def _silent(runtime: Runtime, place: EngineAddress, exc: EngineError) -> str:
    return (
        f"--runtime {runtime}: {exc} (asked {place.shown}); "
        f"is it up? {STARTED_BY[runtime]}"
    )
