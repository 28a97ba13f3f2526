"""
The options of `docker run` after `--`, as the request to create a container.

Everything is checked before anything starts, and no error shows a value that may be a
secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .argv import given
from .builder import Builder, build
from .refused import SHARED
from .run_options import HOST

__all__ = ["RunOptions", "parse"]

LOOPBACK = "127.0.0.1"
DIGITS = 16


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    Options common to all replicas of an application.

    Attributes:
        name: Prefix of the containers' names, or "" if none was given.

        network: Network chosen by the operator, or "".

        stop_timeout: Seconds given to a container to stop, or None.

        platform: `linux/arm64`, or "" for this host's.

        cautions: Sentences to log as warnings at start.
    """

    name: str = ""
    network: str = ""
    aliases: tuple[str, ...] = ()
    stop_timeout: int | None = None
    platform: str = ""
    cautions: tuple[str, ...] = ()
    # As JSON, so that nothing changes it; not shown, for it holds secrets.
    _body: str = field(default="{}", repr=False)

    @property
    def user(self) -> str:
        """User that the program runs as; "" for the image's own."""
        user = json.loads(self._body).get("User", "")
        return str(user)

    @property
    def runtime(self) -> str:
        """Name of the runtime; "" for the engine's own."""
        return str(json.loads(self._body).get(HOST, {}).get("Runtime", ""))

    @property
    def processors(self) -> float:
        """Number of processors that `--cpus` asks for; 0 for any."""
        return float(json.loads(self._body).get(HOST, {}).get("NanoCpus", 0)) / 1e9

    def anonymous_volumes(self, image: Iterable[str]) -> list[str]:
        """
        Return the paths of the volumes that belong to a single container.

        Args:
            image: Paths that the image declares as volumes.
        """
        body = json.loads(self._body)
        host = body.get("HostConfig", {})
        named = {bind.split(":")[1] for bind in host.get("Binds", ())}
        named |= {mount["Target"] for mount in host.get("Mounts", ())}
        named |= {*host.get("Tmpfs", ())}
        mounted = {place.rstrip("/") for place in named}
        places = {place.rstrip("/") for place in (*image, *body.get("Volumes", ()))}
        return sorted(places - mounted)

    def run_as(self, uid: int, gid: int, *, rootless: bool) -> RunOptions:
        """
        Return these options with dewy's own user, where no other was named.

        They are unchanged for root, or where the engine maps users anyway: there the
        image's own user stands.
        """
        body = json.loads(self._body)
        if "User" in body or uid == 0 or rootless:
            return self
        return replace(self, _body=_canonical({**body, "User": f"{uid}:{gid}"}))

    def spec(
        self,
        *,
        image: str,
        command: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
        network: str = "",
    ) -> dict[str, Any]:
        """
        Return the body of a request to create a container, for Docker's API 1.41.

        Each of *ports* is published on a port of 127.0.0.1 that the engine
        chooses; *network* is used where the operator named none.
        """
        body: dict[str, Any] = json.loads(self._body)
        body["Image"] = image
        if command:
            body["Cmd"] = list(command)
        body["Labels"] = {**body.get("Labels", {}), **(labels or {})}
        body["ExposedPorts"] = {f"{port}/tcp": {} for port in ports}
        host = body.setdefault("HostConfig", {})
        host["PortBindings"] = {
            f"{port}/tcp": [{"HostIp": LOOPBACK, "HostPort": ""}] for port in ports
        }
        host["RestartPolicy"] = {"Name": "no"}
        self._join(body, self.network or network)
        return body

    def _join(self, body: dict[str, Any], network: str) -> None:
        if network in SHARED:
            body["HostConfig"]["NetworkMode"] = "bridge"
        elif network:
            body["HostConfig"]["NetworkMode"] = network
            endpoint = {"Aliases": list(self.aliases)} if self.aliases else {}
            body["NetworkingConfig"] = {"EndpointsConfig": {network: endpoint}}

    def fingerprint(
        self, image_digest: str, command: Sequence[str], ports: Sequence[int]
    ) -> str:
        """
        Return the label `dewy.spec`: 16 hex digits, other for other containers.

        The order in which variables and labels were given does not count.
        """
        body = json.loads(self._body)
        body["Env"] = sorted(body.get("Env", []))
        whole = {
            "body": body,
            "command": list(command),
            "image": image_digest,
            "network": [self.network, *self.aliases],
            "platform": self.platform,
            "ports": sorted(set(ports)),
        }
        return hashlib.sha256(_canonical(whole).encode()).hexdigest()[:DIGITS]


def parse(words: Sequence[str], environ: Mapping[str, str], root: Path) -> RunOptions:
    """
    Parse *words*; relative paths are relative to *root*.

    Only files named by `--env-file` are read.

    Raises:
        ConfigError: a value is invalid, or a word is no option, or not one that dewy
            takes.
    """
    return _made(build(given(words), environ, root))


def _made(found: Builder) -> RunOptions:
    return RunOptions(
        name=found.name,
        network=found.network,
        aliases=tuple(found.aliases),
        stop_timeout=found.body.get("StopTimeout"),
        platform=found.platform,
        cautions=tuple(found.cautions),
        _body=_canonical(found.body),
    )


def _canonical(value: object) -> str:
    # Surrogates, of bytes that are no UTF-8, are escaped rather than refused.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
