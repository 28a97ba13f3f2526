"""Sockets of container engines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ... import urls
from ...errors import ConfigError, EngineError

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
            "and wants its socket, such as unix:///run/docker.sock"
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
        f"or set {VARIABLES[runtime]}, or say --runtime {other}"
    )
