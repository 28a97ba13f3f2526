"""Proxies that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus

import aiohttp
from aiohttp import ClientHandlerType
from yarl import URL

from . import netrc
from .no_proxy import named

__all__ = ["LOGIN", "ProxyError", "proxies_for", "proxy_for", "shown", "through_proxy"]

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
        raise ProxyError(f"{shown(proxy)} broke the connection off") from None


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
