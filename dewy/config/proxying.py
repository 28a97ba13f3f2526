"""The options of the TCP proxy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..errors import ConfigError
from .endpoint import BackendAddress, Endpoint, parse_backend
from .option import CONTAINER, FLAG, HEALTH_PATH, TIME, Option
from .values import ValueKind, choice, last, number

__all__ = ["PROXY", "PROXYING", "proxying_faults"]

PROXY = frozenset({"proxy"})
RELAYS = PROXY | CONTAINER
LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
ANYWHERE = frozenset(("", "0.0.0.0", "::"))
BALANCES = ("round-robin", "least-connections")


def _listeners(texts: tuple[str, ...], what: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint.parse(text, what, anywhere=True) for text in texts)


def _backends(texts: tuple[str, ...], what: str) -> tuple[BackendAddress, ...]:
    return tuple(parse_backend(text, what) for text in texts)


def _mode(text: str, what: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ConfigError(f"{what} {text!r} must be an octal mode such as 0660")
    return int(text, 8)


def _owner(text: str, what: str) -> str:
    if not re.fullmatch(r"[^:\s]+(:[^:\s]+)?|:[^:\s]+", text):
        raise ConfigError(f"{what} {text!r} must be USER, USER:GROUP or :GROUP")
    return text


def proxying_faults(
    listen: Sequence[Endpoint], backends: Sequence[BackendAddress]
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the addresses of a proxy, each with its option."""
    if not backends:
        yield "backend", "proxy needs a --backend to pass connections on to"
    for each in dict.fromkeys(listen):
        if listen.count(each) > 1:
            yield "listen", f"--listen {each} is given twice"
    for backend in backends:
        if any(_leads_to(backend, each) for each in listen):
            loop = "it would pass connections on to itself"
            yield "backend", f"--backend {backend} is a --listen of this proxy: {loop}"


def _leads_to(backend: BackendAddress, listener: Endpoint) -> bool:
    if backend == listener:
        return True
    if (
        isinstance(backend, Endpoint) and backend.path
    ) or backend.port != listener.port:
        return False
    local = backend.host in LOOPBACK
    return local and (listener.host in ANYWHERE or backend.host == "localhost")


LISTENERS = ValueKind("ADDR:PORT", _listeners, (int, str), repeated=True)
BACKENDS = ValueKind("HOST:PORT", _backends, repeated=True)
THREADS = ValueKind("NUMBER", last(number(0, 256)), (int,))
CONNECTIONS = ValueKind("NUMBER", last(number(0, 100_000_000)), (int,))
MODE = ValueKind("MODE", last(_mode))
OWNER = ValueKind("USER[:GROUP]", last(_owner))
BALANCE = ValueKind("HOW", last(choice(*BALANCES)))
VERSION = ValueKind("VERSION", last(choice("none", "v2")))

PROXYING = (
    Option(
        "listen",
        LISTENERS,
        "Listen on this address: PORT (IPv4 and IPv6), 127.0.0.1:PORT, [::1]:PORT or "
        "unix:/PATH; may be repeated.",
        PROXY,
    ),
    Option(
        "socket-mode",
        MODE,
        "Mode of the socket files of unix: listeners, such as 0660; by default what "
        "the umask leaves.",
        PROXY,
    ),
    Option(
        "socket-owner",
        OWNER,
        "Owner of the socket files of unix: listeners: USER, USER:GROUP or :GROUP; by "
        "default dewy's own user.",
        PROXY,
    ),
    Option(
        "backend",
        BACKENDS,
        "Pass connections on to this address: 127.0.0.1:PORT, [::1]:PORT, NAME:PORT "
        "or unix:/PATH; may be repeated.",
        PROXY,
        field="backends",
    ),
    Option(
        "proxy-threads",
        THREADS,
        "Number of threads that relay; by default one per usable CPU; 0 to relay on "
        "dewy's main thread.",
        RELAYS,
    ),
    Option(
        "balance",
        BALANCE,
        "How to choose a backend: round-robin or least-connections.",
        RELAYS,
        default="round-robin",
    ),
    Option(
        "proxy-protocol",
        VERSION,
        "Send backends the client's address by the PROXY protocol: v2, or none.",
        RELAYS,
        default="none",
    ),
    Option(
        "proxy-idle-timeout",
        TIME,
        "Reset a connection on which no byte moves either way for this long; 0 for "
        "never.",
        RELAYS,
        default="1h",
    ),
    Option(
        "max-connections",
        CONNECTIONS,
        "Largest number of open connections; further ones wait. By default what the "
        "descriptor limit allows.",
        RELAYS,
    ),
    Option(
        "log-connections",
        FLAG,
        "Log each connection when it ends.",
        RELAYS,
    ),
    Option(
        "health-path",
        HEALTH_PATH,
        "Consider a backend healthy while this path answers 2xx or 3xx; an unhealthy "
        "one gets connections only while no other is left. Backends are not checked "
        "unless set.",
        PROXY,
    ),
    Option(
        "drain-time",
        TIME,
        "How long open connections may take to end before they are reset.",
        PROXY,
        default="30s",
    ),
)
