"""End of the proxy, sooner when in a hurry."""

from __future__ import annotations

import asyncio

from .proxy import Proxy

__all__ = ["stop"]


async def stop(proxy: Proxy, seconds: float, hurry: asyncio.Event) -> None:
    """
    Stop the proxy as `Proxy.stop` does; reset the rest at once when *hurry* is set.
    """
    draining = asyncio.ensure_future(proxy.stop(seconds))
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        hurried.cancel()
        await asyncio.wait({draining, hurried})
