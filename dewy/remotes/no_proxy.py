"""Choice of a proxy by the environment's variables, as Go's net/http reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["bypassed", "named"]

PORTS = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address


def named(scheme: str, host: str, port: int | None, environ: Mapping[str, str]) -> str:
    """
    Return the proxy that *environ* names for a URL of these parts; "" for none.

    Upper case comes before lower case. `HTTP_PROXY` of a CGI program is a client's
    header, and does not count.
    """
    variable = f"{scheme}_proxy"
    chosen = environ.get(variable.upper()) or environ.get(variable) or ""
    if scheme == "http" and "REQUEST_METHOD" in environ:
        return ""
    exempt = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    there = port or PORTS.get(scheme, 0)
    return "" if bypassed(host, there, exempt) else chosen


def bypassed(host: str, port: int, exempt: str) -> bool:
    """
    Return whether *host* is asked itself: one of this host, or one of *exempt*.

    That holds names, which stand for those below them, too (`.acme.test` and
    `*.acme.test` for these alone), addresses, each with a port or without, networks
    (`10.0.0.0/8`), and `*` for all.
    """
    name = _ascii(host.strip().lower().strip("[]"))
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(each, name, address, port) for each in _entries(exempt))


def _entries(exempt: str) -> Iterator[str]:
    return filter(None, (each.strip().lower() for each in exempt.split(",")))


def _covers(entry: str, name: str, address: Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _contains(entry, address)
    stated, at = _parted(entry)
    if at and at != str(port):
        return False
    if (exact := _address(stated)) is not None:
        return exact == address
    return address is None and _is_below(name, stated)


def _contains(network: str, address: Address) -> bool:
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return False
    return found.version == address.version and address in found


def _parted(entry: str) -> tuple[str, str]:
    """Return host and port; a bare IPv6 address has none."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = entry.partition(":")
    return (entry, "") if ":" in port else (host, port)


def _is_below(name: str, stated: str) -> bool:
    stated = _ascii(stated.removeprefix("*") if stated.startswith("*.") else stated)
    if not stated:
        return False
    if stated.startswith("."):
        return name.endswith(stated)
    return name == stated or name.endswith(f".{stated}")


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        dot = "." if name.startswith(".") else ""
        return dot + name.removeprefix(".").encode("idna").decode()
    except UnicodeError:
        return name
