"""Proxies that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import logging
from functools import cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import ClientHandlerType
from yarl import URL

from . import netrc

__all__ = ["through_proxy"]

log = logging.getLogger(__name__)


async def through_proxy(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send *request* through the proxy for it, if there is one.

    aiohttp's own `trust_env` reads `.netrc` in a thread of dewy's for each request,
    and for good where the home directory hangs.
    """
    if proxy := _proxy(request.url):
        bare = proxy.with_user(None)
        shown = await _authorization(proxy)
        headers = {"Proxy-Authorization": shown} if shown else {}
        if not request.is_ssl():
            # No CONNECT: the proxy reads the request itself.
            request.headers.update(headers)
            headers = {}
        request.update_proxy(bare, None, headers or None)
    return await send(request)


def _proxy(url: URL) -> URL | None:
    proxies = getproxies()
    named = proxies.get(url.scheme)
    if not named or proxy_bypass(url.host or "", proxies):
        return None
    return _read(named)


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
