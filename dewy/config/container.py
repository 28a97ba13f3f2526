"""The options of container mode that no other command has, or has otherwise."""

from __future__ import annotations

import re
from ipaddress import ip_address
from itertools import combinations

from ..errors import ConfigError
from .option import CONTAINER, FLAG, HEALTH_PATH, HEALTH_TIMEOUT, KEEP, TIME, Option
from .settings import PortMapping
from .values import ValueKind, choice, last, number, port_number, share

__all__ = ["CONTAINING"]

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
            "8080:80, or with an address 127.0.0.1:8080:80 or [::1]:8080:80; several "
            "are given one by one"
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
RUNTIME = ValueKind("ENGINE", last(choice("docker", "podman", blank="docker")))
AT_ONCE = ValueKind("NUMBER", last(number(1, MOST_REPLICAS)), (int,))
SHARE = ValueKind("SHARE", last(share), (float, str))
UPSTREAM = ValueKind("HOW", last(choice("auto", "direct", "published")))
ON_EXIT = ValueKind("WHAT", last(choice("stop", "leave")))

CONTAINING = (
    Option(
        "port",
        MAPPINGS,
        "Listen here and pass connections on to this port of the containers: "
        "8080:80, 127.0.0.1:8080:80 or [::1]:8080:80; 8080 alone goes to the port that "
        "the image exposes; may be repeated.",
        ONLY,
        short="p",
        field="port_mappings",
    ),
    Option(
        "name",
        NAME,
        "What the application is called; else the end of the registry URL.",
        NAMED,
        short="n",
    ),
    Option("replicas", REPLICAS, "Containers that serve.", CONTAINER, default="1"),
    Option(
        "cmd",
        WORDS,
        "One word of the command that containers run, instead of the image's; "
        "may be repeated.",
        CONTAINER,
    ),
    Option("runtime", RUNTIME, "docker or podman.", CONTAINER, default="docker"),
    Option(
        "max-parallel",
        AT_ONCE,
        "New containers that start at a time in a deployment.",
        CONTAINER,
        default="1",
    ),
    Option(
        "min-healthy",
        TIME,
        "How long a new container must stay healthy before it serves.",
        CONTAINER,
        default="3s",
    ),
    Option(
        "health-path",
        HEALTH_PATH,
        "A container is healthy while this path answers 2xx or 3xx on the first "
        "--port; else while it accepts connections.",
        ONLY,
    ),
    Option(
        "health-timeout",
        HEALTH_TIMEOUT,
        "How long a new container may take to be healthy.",
        ONLY,
        default="30s",
    ),
    Option(
        "max-broken",
        SHARE,
        "A new version fails its probation if its containers break more than this "
        "share of their connections, such as 5%, and three times the share that the "
        "old ones broke; from 50 connections on. Off unless set.",
        CONTAINER,
    ),
    Option(
        "health-restart",
        TIME,
        "How long a container may stay unhealthy, while others are healthy, before "
        "another takes its place; 0: for ever.",
        CONTAINER,
        default="5m",
    ),
    Option(
        "upstream",
        UPSTREAM,
        "How containers are reached: direct (by their own address), published (by a "
        "port of 127.0.0.1) or auto (direct where that works).",
        CONTAINER,
        default="auto",
    ),
    Option(
        "backend-wait",
        TIME,
        "How long new connections wait while no container serves.",
        CONTAINER,
        default="5s",
    ),
    Option(
        "drain-time",
        TIME,
        "How long connections to a container that leaves may go on before it is "
        "told to stop.",
        CONTAINER,
        default="30s",
    ),
    Option(
        "drain-jitter",
        TIME,
        "Spread the stop signals of containers that leave together, and still have "
        "connections after --drain-time, over this time.",
        CONTAINER,
        default="0s",
    ),
    Option(
        "stop-timeout",
        TIME,
        "How long a container may take to stop before it is killed.",
        ONLY,
        default="30s",
    ),
    Option(
        "on-exit",
        ON_EXIT,
        "What becomes of the containers when dewy ends: stop, or leave (for the "
        "next dewy to take over).",
        CONTAINER,
        default="stop",
    ),
    Option(
        "keep-volumes",
        FLAG,
        "Leave the anonymous volumes of containers that are removed; else the data "
        "of an image's VOLUME goes with each of them.",
        CONTAINER,
    ),
    Option("keep", KEEP, "Images kept on this host.", ONLY, default="7"),
)
