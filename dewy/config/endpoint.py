"""Addresses, as people write them and as the kernel takes them."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from ..errors import ConfigError

__all__ = [
    "Address",
    "BackendAddress",
    "Endpoint",
    "HostName",
    "PortMapping",
    "parse_backend",
]

UNIX = "unix:"
LONGEST_PATH = 107
LONGEST_NAME = 253

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# The last label is never a number, or it would be an address.
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*(?!\d+\.?$){_LABEL}\.?")

SocketAddress = tuple[str, int] | str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    The address of a stream socket, to listen on or to connect to.

    Attributes:
        host: A numeric address; "" stands for every address of both families.

        port: 0 to 65535; 0 lets the kernel choose.

        path: Of a Unix socket, which has neither.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return UNIX + self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else self._plain()

    def _plain(self) -> str:
        return f"{self.host}:{self.port}" if self.host else str(self.port)

    @property
    def family(self) -> socket.AddressFamily:
        """Of a socket for it."""
        if self.path:
            return socket.AF_UNIX
        return socket.AF_INET if "." in self.host else socket.AF_INET6

    @property
    def address(self) -> SocketAddress:
        """The address in the form of the socket module."""
        return self.path or (self.host or "::", self.port)

    @classmethod
    def parse(cls, text: str, what: str, *, anywhere: bool = False) -> Endpoint:
        """
        Read `127.0.0.1:80`, `[::1]:80`, `unix:/path` or, if *anywhere*, `80`.

        Raises:
            ConfigError: *text* is none of these; *what* names the option it was given
                for.
        """
        if text.startswith(UNIX):
            return cls(path=_path(text, what))
        host, _, port = text.rpartition(":")
        address = _host(host)
        if address is None or not (address or anywhere):
            also = ", PORT" if anywhere else ""
            raise ConfigError(
                f"{what} {text!r} must be 127.0.0.1:PORT, [::1]:PORT{also} "
                "or unix:/PATH"
            )
        return cls(address, _port(port, text, what))

    @classmethod
    def of(cls, listener: socket.socket) -> Endpoint:
        """Return the address that *listener* is bound to."""
        bound = listener.getsockname()
        if listener.family == socket.AF_UNIX:
            return cls(path=bound if isinstance(bound, str) else f"@{bound[1:]!r}")
        dual = bound[0] == "::" and not _only_six(listener)
        return cls("" if dual else bound[0], bound[1])


@dataclass(frozen=True, slots=True)
class HostName:
    """
    The address of a backend whose host has a name.

    Attributes:
        host: A host name.

        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


BackendAddress = Endpoint | HostName


def parse_backend(text: str, what: str) -> BackendAddress:
    """
    Read an address as `Endpoint.parse` does, or `NAME:PORT`.

    Raises:
        ConfigError: *text* is neither; *what* names the option it was given for.
    """
    host, _, port = text.rpartition(":")
    named = len(host) <= LONGEST_NAME and _HOST_NAME.fullmatch(host)
    if named and not text.startswith(UNIX):
        return HostName(host, _port(port, text, what))
    try:
        return Endpoint.parse(text, what)
    except ConfigError as exc:
        raise ConfigError(
            str(exc).replace(" or unix:/PATH", ", NAME:PORT or unix:/PATH")
        ) from None


def _only_six(listener: socket.socket) -> bool:
    return bool(listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _path(text: str, what: str) -> str:
    path = text.removeprefix(UNIX)
    if not path.startswith("/") or len(path.encode()) > LONGEST_PATH:
        raise ConfigError(
            f"{what} {text!r} must name an absolute path of at most "
            f"{LONGEST_PATH} bytes"
        )
    return path


def _host(text: str) -> str | None:
    """Return the canonical address; None where there is none."""
    if not text:
        return ""
    bracketed = text.startswith("[") and text.endswith("]")
    try:
        address = ip_address(text[1:-1] if bracketed else text)
    except ValueError:
        return None
    return str(address) if bracketed == (address.version == 6) else None


def _port(text: str, whole: str, what: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    if not digits or not 1 <= int(text) <= 65535:
        raise ConfigError(f"{what} {whole!r} must hold a port from 1 to 65535")
    return int(text)


@dataclass(frozen=True, slots=True)
class Address:
    """
    A listening address as the operator wrote it.

    Attributes:
        name: Normalised text, given to programs: `8080`, `127.0.0.1:80`, `[::]:80`.

        host: Numeric address to bind; `0.0.0.0` for a bare port.

        port: 1 to 65535.
    """

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PortMapping:
    """
    The port of a container that stands behind a port of the proxy.

    Attributes:
        proxy: 1 to 65535.

        container: 1 to 65535; 0 for the one that the image exposes.

        host: Numeric address of the proxy's port; "" for every one of both families.
    """

    proxy: int
    container: int = 0
    host: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """The address of the proxy's port."""
        return Endpoint(self.host, self.proxy)
