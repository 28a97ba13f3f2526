"""The options of container mode that no other command has, or has otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations

from ..errors import ConfigError
from .endpoint import PortMapping
from .general import GeneralOptions
from .option import CONTAINER, FLAG, PROXY, TIME, again, option
from .values import ValueKind, choice, last, number, port_number, share

__all__ = ["ContainerOptions"]

MOST_REPLICAS = 1000
LONGEST_NAME = 128

# `check` has those of `server` by the same names, and reads them as these do.
ONLY = frozenset({"container"})
NAMED = CONTAINER | {"status"}

# An address only with both ports, as `docker run -p` has it.
_MAPPING = re.compile(
    r"(?:(?:(?P<host>[0-9.]+|\[[^\[\]]+\]):(?=.*:))?(?P<proxy>\d+))(?::(?P<inner>\d+))?"
)
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def port_mappings(texts: tuple[str, ...], what: str) -> tuple[PortMapping, ...]:
    """
    Read `PROXY`, `PROXY:CONTAINER` or `ADDRESS:PROXY:CONTAINER` each, as `docker run
    -p` has the last two, in the order of the proxy's ports.

    Raises:
        ConfigError: a mapping is of another form, or two have the same proxy port at
            the same address.
    """
    found = [_mapping(text.strip(), what) for text in texts if text.strip()]
    for first, second in combinations(found, 2):
        if _overlap(first, second):
            raise ConfigError(
                f"{what} must name each port of the proxy once, not "
                f"{first.endpoint} {_again(first, second)}"
            )
    return tuple(sorted(found, key=lambda mapping: (mapping.proxy, mapping.host)))


def _overlap(first: PortMapping, second: PortMapping) -> bool:
    """Return whether one socket would take connections to the other."""
    if first.proxy != second.proxy:
        return False
    hosts = {first.host, second.host}
    families = {first.endpoint.family, second.endpoint.family}
    wildcards = {"0.0.0.0", "::"}
    one_family = len(families) == 1
    return len(hosts) == 1 or "" in hosts or (one_family and bool(hosts & wildcards))


def _again(first: PortMapping, second: PortMapping) -> str:
    same = first.host == second.host
    return (
        "twice" if same else f"and {second.endpoint}, one of which includes the other"
    )


def _mapping(text: str, what: str) -> PortMapping:
    match = _MAPPING.fullmatch(text)
    host = _numeric(match["host"]) if match and match["host"] else ""
    if match is None or host is None:
        raise ConfigError(
            f"{what} {text!r} must be PROXY or PROXY:CONTAINER, such as 8080 or "
            "8080:80, or with an address 127.0.0.1:8080:80 or [::1]:8080:80; repeat "
            "the option for several"
        )
    inner = port_number(match["inner"], text, what) if match["inner"] else 0
    return PortMapping(port_number(match["proxy"], text, what), inner, host)


def _numeric(host: str) -> str | None:
    """Return the canonical form of *host*, IPv6 in brackets; None for no address."""
    bracketed = host.startswith("[")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return str(address) if bracketed == (address.version == 6) else None


def replicas(text: str, what: str) -> int:
    """
    Read a number of containers.

    Raises:
        ConfigError: *text* is not a number, or out of range.
    """
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= MOST_REPLICAS:
        raise ConfigError(
            f"{what} {text!r} must be a whole number from 1 to {MOST_REPLICAS}"
        )
    return int(text)


def container_name(text: str, what: str) -> str:
    """Read the beginning of a container's name that engines accept, or ""."""
    if text and (not _NAME.fullmatch(text) or len(text) > LONGEST_NAME):
        raise ConfigError(
            f"{what} {text!r} must begin with a letter or digit and hold only these, "
            f"'_', '.' and '-', at most {LONGEST_NAME}"
        )
    return text


MAPPINGS = ValueKind(
    "[ADDRESS:]PROXY[:CONTAINER]", port_mappings, (int, str), repeated=True
)
NAME = ValueKind("NAME", last(container_name))
REPLICAS = ValueKind("NUMBER", last(replicas), (int,))
WORDS = ValueKind("WORD", lambda texts, what: texts, repeated=True)
RUNTIME = ValueKind("ENGINE", last(choice("docker", "podman", blank=True)))
AT_ONCE = ValueKind("NUMBER", last(number(1, MOST_REPLICAS)), (int,))
SHARE = ValueKind("SHARE", last(share), (float, str), empty=None)
UPSTREAM = ValueKind("HOW", last(choice("auto", "direct", "published")))
ON_EXIT = ValueKind("WHAT", last(choice("stop", "leave")))


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """The options of container mode."""

    port_mappings: tuple[PortMapping, ...] = option(
        MAPPINGS,
        "Listen on this port and pass connections on to a port of the "
        "containers: 8080:80, 127.0.0.1:8080:80 or [::1]:8080:80; 8080 alone "
        "goes to the port that the image exposes; may be repeated.",
        ONLY,
        name="port",
        short="p",
        original=True,
    )
    name: str = option(
        NAME,
        "Name of the application; by default the last part of the registry URL.",
        NAMED,
        short="n",
        original=True,
    )
    replicas: int = option(
        REPLICAS,
        "Number of containers to run.",
        CONTAINER,
        default="1",
        reloadable=CONTAINER,
        original=True,
    )
    cmd: tuple[str, ...] = option(
        WORDS,
        "One word of the command to run instead of the image's; may be repeated.",
        CONTAINER,
        reloadable=CONTAINER,
        original=True,
    )
    runtime: str = option(
        RUNTIME,
        "Container engine to use: docker or podman.",
        CONTAINER,
        default="docker",
        original=True,
    )
    max_parallel: int = option(
        AT_ONCE,
        "Number of new containers to start at a time in a deployment.",
        CONTAINER,
        default="1",
        reloadable=CONTAINER,
    )
    min_healthy: float = option(
        TIME,
        "How long a new container must stay healthy before it serves.",
        CONTAINER,
        default="3s",
        reloadable=CONTAINER,
    )
    health_path: str = again(
        GeneralOptions,
        "health_path",
        "Consider a container healthy while this path answers 2xx or 3xx on the"
        " first --port; without it, while the container accepts connections.",
        ONLY,
    )
    health_timeout: float = again(
        GeneralOptions,
        "health_timeout",
        "How long a new container may take to become healthy.",
        ONLY,
    )
    max_broken: float | None = option(
        SHARE,
        "Roll a new version back in its probation if its containers break more "
        "than this share of their connections, such as 5%, and three times the "
        "share that the old ones broke; judged from 50 connections on. Off "
        "unless set.",
        CONTAINER,
        reloadable=CONTAINER,
    )
    health_restart: float = option(
        TIME,
        "Replace a container that stays unhealthy for this long while others "
        "are healthy; 0 for never.",
        CONTAINER,
        default="5m",
        reloadable=CONTAINER,
    )
    upstream: str = option(
        UPSTREAM,
        "How to reach containers: direct (at their own addresses), published "
        "(at a port of 127.0.0.1) or auto (direct where that works).",
        CONTAINER,
        default="auto",
        reloadable=CONTAINER,
    )
    backend_wait: float = option(
        TIME,
        "How long a new connection may wait for a container while none is in service.",
        CONTAINER,
        default="5s",
    )
    drain_time: float = option(
        TIME,
        "How long open connections to an old container may go on before it is "
        "sent the stop signal.",
        CONTAINER,
        default="30s",
        original=True,
        reloadable=CONTAINER | PROXY,
    )
    drain_jitter: float = option(
        TIME,
        "Spread the stop signals to old containers that still have connections "
        "after --drain-time over this time.",
        CONTAINER,
        default="0s",
        reloadable=CONTAINER,
    )
    stop_timeout: float = again(
        GeneralOptions,
        "stop_timeout",
        "How long a container may take to stop before it is killed.",
        ONLY,
    )
    on_exit: str = option(
        ON_EXIT,
        "What to do with the containers when dewy ends: stop them, or leave "
        "them for the next dewy to take over.",
        CONTAINER,
        default="stop",
        reloadable=CONTAINER,
    )
    keep_volumes: bool = option(
        FLAG,
        "Keep the anonymous volumes of removed containers; by default the data "
        "of an image's VOLUME is deleted with its container.",
        CONTAINER,
        reloadable=CONTAINER,
    )
    keep: int = again(
        GeneralOptions,
        "keep",
        "Number of images to keep on this host.",
        ONLY,
    )
