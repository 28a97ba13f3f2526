"""Proxies that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import aiohttp
from aiohttp import ClientHandlerType
from yarl import URL

from . import netrc

log = logging.getLogger(__name__)

# Not `http://USER:…`, which would be struck out as if it were a login.
LOGIN = (
    "give its login as USER:PASSWORD@HOST in HTTPS_PROXY or HTTP_PROXY,"
    " or correct the one there"
)


class ProxyError(aiohttp.ClientError):
    """The proxy did not do its part; the message says which, and all there is."""


async def through_proxy(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send *request* through the proxy for it, if there is one.

    aiohttp's own `trust_env` reads `.netrc` in a thread of dewy's for each request,
    and for good where the home directory hangs.
    """
    proxy = proxy_for(request.url)
    if proxy is None:
        return await send(request)
    bare = proxy.with_user(None)
    login = await _authorization(proxy)
    headers = {"Proxy-Authorization": login} if login else {}
    if not request.is_ssl():
        # No CONNECT: the proxy reads the request itself.
        request.headers.update(headers)
        headers = {}
    request.update_proxy(bare, None, headers or None)
    with _blamed(bare, request.url, tunnel=request.is_ssl()):
        return await send(request)


def proxy_for(url: URL) -> URL | None:
    """Return the proxy for *url*, its login included; None to ask the host itself."""
    found = named(url.scheme, url.host or "", url.port, os.environ)
    return _read(found) if found else None


def proxies_for(url: str) -> dict[str, str]:
    """Return that in the form of `requests` and boto3: empty for none."""
    asked = URL(url)
    proxy = proxy_for(asked)
    return {asked.scheme: str(proxy)} if proxy else {}


def shown(proxy: URL) -> str:
    """Return the name of *proxy* for people."""
    return f"proxy {proxy.host}:{proxy.port}"


def no_connection(exc: OSError) -> str:
    """Return why there is no connection, as the system says it."""
    # asyncio's own text is that of a call, addresses in Python's form included.
    number = exc.errno or 0
    return os.strerror(number) if number > 0 else exc.strerror or "no connection"


@contextmanager
def _blamed(proxy: URL, url: URL, *, tunnel: bool) -> Iterator[None]:
    """Turn what is the fault of *proxy* into ProxyError."""
    try:
        yield
    except aiohttp.ClientHttpProxyError as exc:
        what = f"answered {exc.status} when asked for {url.host}"
        hint = (
            f": {LOGIN}"
            if exc.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
            else ""
        )
        raise ProxyError(f"{shown(proxy)} {what}{hint}") from None
    except aiohttp.ClientConnectorDNSError:
        # The name of the target is the proxy's to resolve.
        text = f"{shown(proxy)} is a name that could not be resolved"
        raise ProxyError(text) from None
    except aiohttp.ClientProxyConnectionError as exc:
        why = no_connection(exc.os_error)
        raise ProxyError(f"{shown(proxy)} could not be reached: {why}") from None
    except aiohttp.ConnectionTimeoutError:
        text = f"{shown(proxy)} made no connection to {url.host} in time"
        raise ProxyError(text) from None
    except aiohttp.ServerDisconnectedError:
        if tunnel:
            raise
        raise ProxyError(f"{shown(proxy)} broke off the connection") from None


async def _authorization(proxy: URL) -> str:
    if proxy.raw_user is None and proxy.raw_password is None:
        return await netrc.authorization(proxy.host or "")
    return netrc.basic(proxy.user or "", proxy.password or "")


@cache
def _read(named: str) -> URL | None:
    """Return the URL of a proxy; None, which is told once, if it cannot be used."""
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError:
        proxy = URL()
    if proxy.scheme == "http" and proxy.host:
        return proxy
    log.warning("Proxy not used: it must be a URL such as http://proxy.example:3128")
    return None


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
