"""The options of the TCP proxy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from .container import ContainerOptions
from .endpoint import BackendAddress, Endpoint, parse_backend
from .general import GeneralOptions
from .option import CONTAINER, FLAG, PROXY, TIME, again, option
from .values import ValueKind, choice, last, number

__all__ = ["ProxyOptions", "proxying_faults"]

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
THREADS = ValueKind("NUMBER", last(number(0, 256)), (int,), empty=None)
CONNECTIONS = ValueKind("NUMBER", last(number(0, 100_000_000)), (int,), empty=0)
MODE = ValueKind("MODE", last(_mode), empty=None)
OWNER = ValueKind("USER[:GROUP]", last(_owner))
BALANCE = ValueKind("HOW", last(choice(*BALANCES)))
VERSION = ValueKind("VERSION", last(choice("none", "v2")))


@dataclass(frozen=True, kw_only=True)
class ProxyOptions:
    """The options of the proxy; container mode has some of them."""

    listen: tuple[Endpoint, ...] = option(
        LISTENERS,
        "Listen on this address: PORT (IPv4 and IPv6), 127.0.0.1:PORT, "
        "[::1]:PORT or unix:/PATH; may be repeated.",
        PROXY,
        reloadable=PROXY,
    )
    socket_mode: int | None = option(
        MODE,
        "Mode of the socket files of unix: listeners, such as 0660; by default "
        "what the umask leaves.",
        PROXY,
        reloadable=PROXY,
    )
    socket_owner: str = option(
        OWNER,
        "Owner of the socket files of unix: listeners: USER, USER:GROUP or "
        ":GROUP; by default dewy's own user.",
        PROXY,
        reloadable=PROXY,
    )
    backends: tuple[BackendAddress, ...] = option(
        BACKENDS,
        "Pass connections on to this address: 127.0.0.1:PORT, [::1]:PORT, "
        "NAME:PORT or unix:/PATH; may be repeated.",
        PROXY,
        name="backend",
        reloadable=PROXY,
    )
    proxy_threads: int | None = option(
        THREADS,
        "Number of threads that relay; by default one per usable CPU; 0 to "
        "relay on dewy's main thread.",
        RELAYS,
    )
    balance: str = option(
        BALANCE,
        "How to choose a backend: round-robin or least-connections.",
        RELAYS,
        default="round-robin",
    )
    proxy_protocol: str = option(
        VERSION,
        "Send backends the client's address by the PROXY protocol: v2, or none.",
        RELAYS,
        default="none",
    )
    proxy_idle_timeout: float = option(
        TIME,
        "Reset a connection on which no byte moves either way for this long; 0 "
        "for never.",
        RELAYS,
        default="1h",
        original=True,
    )
    max_connections: int = option(
        CONNECTIONS,
        "Largest number of open connections; further ones wait. By default what"
        " the descriptor limit allows.",
        RELAYS,
    )
    log_connections: bool = option(
        FLAG,
        "Log each connection when it ends.",
        RELAYS,
    )
    health_path: str = again(
        GeneralOptions,
        "health_path",
        "Consider a backend healthy while this path answers 2xx or 3xx; an "
        "unhealthy one gets connections only while no other is left. Backends "
        "are not checked unless set.",
        PROXY,
    )
    drain_time: float = again(
        ContainerOptions,
        "drain_time",
        "How long open connections may take to end before they are reset.",
        PROXY,
    )
