"""HTTP proxies from `HTTPS_PROXY` and `HTTP_PROXY`, with exceptions in `NO_PROXY`."""

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

# Not `http://USER:…`, which would be redacted like a real login.
LOGIN = (
    "give its login as USER:PASSWORD@HOST in HTTPS_PROXY or HTTP_PROXY,"
    " or correct the one there"
)


class ProxyError(aiohttp.ClientError):
    """The proxy failed; the message is complete and names it."""


async def through_proxy(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send *request* through its proxy, if it has one.

    aiohttp's own `trust_env` is no alternative: for each request it reads `.netrc` in a
    thread of dewy, which never returns if the home directory hangs.

    Raises:
        ProxyError: the proxy failed.
    """
    proxy = proxy_for(request.url)
    if proxy is None:
        return await send(request)
    bare = proxy.with_user(None)
    login = await _authorization(proxy)
    headers = {"Proxy-Authorization": login} if login else {}
    if not request.is_ssl():
        # Without CONNECT the proxy reads the headers of the request itself.
        request.headers.update(headers)
        headers = {}
    request.update_proxy(bare, None, headers or None)
    with _failures_translated(bare, request.url, tunnel=request.is_ssl()):
        return await send(request)


def proxy_for(url: URL) -> URL | None:
    """Return the proxy for *url* with its login; None for a direct connection."""
    found = named(url.scheme, url.host or "", url.port, os.environ)
    return _parse(found) if found else None


def proxies_for(url: str) -> dict[str, str]:
    """Return the proxy for *url* as a mapping by scheme, for requests and boto3."""
    target = URL(url)
    proxy = proxy_for(target)
    return {target.scheme: str(proxy)} if proxy else {}


def shown(proxy: URL) -> str:
    """Return *proxy* for messages, without its login."""
    return f"proxy {proxy.host}:{proxy.port}"


def no_connection(exc: OSError) -> str:
    """Return the system's reason why there is no connection."""
    # asyncio's own text holds addresses as Python's tuples.
    number = exc.errno or 0
    return os.strerror(number) if number > 0 else exc.strerror or "no connection"


@contextmanager
def _failures_translated(proxy: URL, url: URL, *, tunnel: bool) -> Iterator[None]:
    """Turn failures of *proxy* into ProxyError."""
    try:
        yield
    except aiohttp.ClientHttpProxyError as exc:
        problem = f"answered {exc.status} when asked for {url.host}"
        hint = (
            f": {LOGIN}"
            if exc.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
            else ""
        )
        raise ProxyError(f"{shown(proxy)} {problem}{hint}") from None
    except aiohttp.ClientConnectorDNSError:
        # The name of the proxy: that of the target is resolved by the proxy.
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
def _parse(named: str) -> URL | None:
    """Return the URL of a proxy; None, with one warning, if dewy cannot use it."""
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
    Return the proxy in *environ* for a URL with these parts; "" for none.

    Upper-case variables come before lower-case ones. In a CGI program `HTTP_PROXY` is
    ignored, for it is a header of the client (httpoxy, CVE-2016-5385).
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
    Return whether connections to *host* bypass the proxy.

    They do if it is a loopback host or matches an entry of *exempt*, the value of
    `NO_PROXY`: a name, which includes its subdomains (`.acme.test` and `*.acme.test`
    are these alone), an address, either of them with or without a port, a network
    (`10.0.0.0/8`), or `*` for all. The rules are those of Go's `httpproxy`.
    """
    name = _ascii(host.strip().lower().strip("[]"))
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(each, name, address, port) for each in _entries(exempt))


def _entries(exempt: str) -> Iterator[str]:
    return filter(None, (each.strip().lower() for each in exempt.split(",")))


def _matches(entry: str, name: str, address: Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _contains(entry, address)
    stated, at = _host_and_port(entry)
    if at and at != str(port):
        return False
    if (exact := _address(stated)) is not None:
        return exact == address
    return address is None and _is_in_domain(name, stated)


def _contains(network: str, address: Address) -> bool:
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return False
    return found.version == address.version and address in found


def _host_and_port(entry: str) -> tuple[str, str]:
    """Return host and port, which is "" if there is none, as in a bare IPv6 address."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = entry.partition(":")
    return (entry, "") if ":" in port else (host, port)


def _is_in_domain(name: str, stated: str) -> bool:
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
