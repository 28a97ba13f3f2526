"""
The options of `docker run` after `--`, as the request to create a container.

Everything is checked before anything starts, and no error shows a value that may be a
secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...config.env_file import from_file
from ...errors import ConfigError
from ..model import EngineLimits
from . import mounts
from .argv import Given, given
from .run_options import HEALTH, HOST, NAME, NO_EFFECT, RUN_OPTIONS, SHARED, Many, unfit

__all__ = [
    "Builder",
    "RunOptions",
    "build",
    "parse",
    "variable",
]

Variable = tuple[str, str | None]


def variable(text: str, what: str, environ: Mapping[str, str]) -> Variable:
    """
    Return name and value; a name alone has the value it has in *environ*.

    The value is None if *environ* has none: the image's own is then removed, too.

    Raises:
        ConfigError: the name is missing.
    """
    name, equals, value = text.partition("=")
    if not name or "\0" in text:
        raise ConfigError(f"{what} must be NAME=VALUE, or NAME for dewy's own value")
    return name, value if equals else environ.get(name)


RESERVED = "dewy."
LEAST_MEMORY = 6 << 20
"""Bytes; Docker makes no container with less."""

ENGINES = frozenset({"docker", "podman"})


@dataclass(slots=True)
class Builder:
    """Request under construction."""

    environ: Mapping[str, str]
    root: Path
    body: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)
    env_files: dict[str, str] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    cautions: list[str] = field(default_factory=list)

    @property
    def network(self) -> str:
        """Network that the operator chose, or ""."""
        return self.words.get("network", "")

    def under(self, *path: str, new: Callable[[], Any] = dict) -> Any:
        """Return the part of the body at *path*, which is created if it is missing."""
        found: Any = self.body
        *outer, last = path
        for name in outer:
            found = found.setdefault(name, {})
        return found.setdefault(last, new())

    def caution(self, text: str) -> None:
        """Add the warning *text*, logged at start, once."""
        if text not in self.cautions:
            self.cautions.append(text)


def build(options: Iterable[Given], environ: Mapping[str, str], root: Path) -> Builder:
    """
    Combine all of *options*.

    Raises:
        ConfigError: a value is invalid, or two options exclude each other.
    """
    made = Builder(environ, root)
    for each in options:
        if each.option.at:
            _put(made, each)
        else:
            _SPECIAL[each.option.name](made, each)
    _finish(made)
    return made


def _put(made: Builder, given: Given) -> None:
    option = given.option
    value = option.read(given.text, given.what)
    if option.name in _WATCHED:
        value = _WATCHED[option.name](made, given, value)
    match option.many:
        case Many.LIST:
            made.under(*option.at, new=list).append(value)
        case Many.PAIRS:
            name, content = value
            made.under(*option.at)[name] = content
        case Many.LAST:
            *outer, last = option.at
            (made.under(*outer) if outer else made.body)[last] = value


def _finish(made: Builder) -> None:
    if made.network in SHARED and made.aliases:
        raise ConfigError(
            f"run option --network-alias has no meaning in --network {made.network}: "
            "only networks that you created resolve names"
        )
    # Files come first, wherever they stand.
    env = {**made.env_files, **made.env}
    if env:
        made.body["Env"] = [
            name if value is None else f"{name}={value}" for name, value in env.items()
        ]
    host = made.body.get(HOST, {})
    if "Ulimits" in host:
        host["Ulimits"] = [host["Ulimits"][name] for name in sorted(host["Ulimits"])]
    _check_memory(host)
    _check_health(made.body.get(HEALTH, {}))


def _check_memory(host: Mapping[str, Any]) -> None:
    memory, total = host.get("Memory", 0), host.get("MemorySwap", 0)
    if total and not memory:
        raise ConfigError("run option --memory-swap needs --memory beside it")
    if 0 < total < memory:
        raise ConfigError("run option --memory-swap must not be below --memory")
    if memory and host.get("MemoryReservation", 0) > memory:
        raise ConfigError("run option --memory-reservation must not be above --memory")
    if host.get("NanoCpus") and (host.get("CpuPeriod") or host.get("CpuQuota")):
        raise ConfigError(
            "run option --cpus excludes --cpu-period and --cpu-quota: it sets both"
        )


def _check_health(health: Mapping[str, Any]) -> None:
    if health.get("Test") == ["NONE"] and len(health) > 1:
        raise ConfigError("run option --no-healthcheck excludes the --health-… options")


def _label(made: Builder, given: Given, value: str) -> tuple[str, str]:
    key, _, content = value.partition("=")
    if not key:
        raise ConfigError(f"{given.what} must be KEY=VALUE, or KEY")
    if key.startswith(RESERVED):
        raise ConfigError(
            f"{given.what} {key!r} cannot be used: what begins with {RESERVED} is "
            "dewy's own"
        )
    return key, content


def _memory(made: Builder, given: Given, value: int) -> int:
    if 0 < value < LEAST_MEMORY:
        raise ConfigError(f"{given.what} {given.text} must be 6m or more, or 0 for any")
    return value


def _runtime(made: Builder, given: Given, value: str) -> str:
    if value in ENGINES:
        raise ConfigError(f"{given.what} {value} must stand before --")
    return value


def _log_driver(made: Builder, given: Given, value: str) -> str:
    if value == "none":
        made.caution(
            f"{given.what} none: failures are reported without a container's last lines"
        )
    return value


_WATCHED: dict[str, Callable[[Builder, Given, Any], Any]] = {
    "label": _label,
    "memory": _memory,
    "runtime": _runtime,
    "log-driver": _log_driver,
}


def _read(given: Given) -> Any:
    return given.option.read(given.text, given.what)


def _env(made: Builder, given: Given) -> None:
    name, value = variable(given.text, given.what, made.environ)
    if value is None:
        made.caution(f"{given.what} {name!r}: dewy has no such variable to pass on")
    # The last one counts, and keeps its place.
    made.env.pop(name, None)
    made.env[name] = value


def _env_file(made: Builder, given: Given) -> None:
    path = made.root / _read(given)
    made.env_files.update(from_file(path, given.what, made.environ))


def _taken(made: Builder, place: str, given: Given) -> None:
    key = place.rstrip("/")
    if key in made.places:
        raise ConfigError(f"{given.what} must not mount {place!r} a second time")
    made.places.add(key)


def _volume(made: Builder, given: Given) -> None:
    bind, place = mounts.volume(given.text, given.what, made.root)
    _taken(made, place, given)
    if bind:
        made.under(HOST, "Binds", new=list).append(bind)
    else:
        made.under("Volumes")[place] = {}


def _mount(made: Builder, given: Given) -> None:
    found = mounts.mount(given.text, given.what, made.root)
    _taken(made, found["Target"], given)
    made.under(HOST, "Mounts", new=list).append(found)


def _tmpfs(made: Builder, given: Given) -> None:
    place, options = mounts.tmpfs(given.text, given.what)
    _taken(made, place, given)
    made.under(HOST, "Tmpfs")[place] = options


def _name(made: Builder, given: Given) -> None:
    made.words["name"] = _read(given)


def _network(made: Builder, given: Given) -> None:
    name = _read(given)
    reason = unfit(name)
    if reason:
        raise ConfigError(f"{given.what} {name!r} cannot be used: {reason}")
    if made.network and made.network != name:
        raise ConfigError(f"{given.what} must name one network, not {name!r} as well")
    made.words["network"] = NAME(name, given.what)


def _alias(made: Builder, given: Given) -> None:
    made.aliases.append(_read(given))


def _platform(made: Builder, given: Given) -> None:
    made.words["platform"] = _read(given)


def _stop_timeout(made: Builder, given: Given) -> None:
    made.body["StopTimeout"] = _read(given)


def _no_healthcheck(made: Builder, given: Given) -> None:
    if _read(given):
        made.under(HEALTH)["Test"] = ["NONE"]


def _without_effect(made: Builder, given: Given) -> None:
    _read(given)
    made.caution(f"{given.what} has {given.option.help}")


_SPECIAL: dict[str, Callable[[Builder, Given], None]] = {
    "env": _env,
    "env-file": _env_file,
    "volume": _volume,
    "mount": _mount,
    "tmpfs": _tmpfs,
    "name": _name,
    "network": _network,
    "network-alias": _alias,
    "platform": _platform,
    "stop-timeout": _stop_timeout,
    "no-healthcheck": _no_healthcheck,
    **{
        option.name: _without_effect
        for option in RUN_OPTIONS.values()
        if option.help.startswith(NO_EFFECT)
    },
}


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

    def require_within(self, limits: EngineLimits) -> None:
        """
        Refuse options with which an engine of such *limits* makes no container.

        Raises:
            ConfigError: an option is beyond a limit.
        """
        if self.runtime and limits.runtimes and self.runtime not in limits.runtimes:
            known = ", ".join(sorted(limits.runtimes))
            raise ConfigError(
                f"run option --runtime {self.runtime} is not one of the engine's: "
                f"{known}"
            )
        if 0 < limits.processors < self.processors:
            raise ConfigError(
                f"run option --cpus {self.processors:g} must be {limits.processors} "
                "or less, since the engine has no more"
            )

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
        **found.words,
        aliases=tuple(found.aliases),
        stop_timeout=found.body.get("StopTimeout"),
        cautions=tuple(found.cautions),
        _body=_canonical(found.body),
    )


def _canonical(value: object) -> str:
    # Surrogates, of bytes that are no UTF-8, are escaped rather than refused.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
