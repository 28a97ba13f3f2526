"""SIGTERM ends the containers in order, and nobody's answer with them."""

from __future__ import annotations

import asyncio
import signal

from tests.eventually import eventually
from tests.standins.container_site import ContainerDewy

VERSION = "v1.0.0"


async def test_shutdown_completes_open_requests(site: ContainerDewy) -> None:
    """Newcomers are turned away; who waits for an answer has it, after any drain."""
    site.options = ("--drain-time", "500ms")
    await site.push(VERSION)
    async with site:
        await site.serves(VERSION)
        waiting = asyncio.create_task(site.fetch("/slow/5000"))
        await site.until(
            lambda now: 1 == sum(each["connections"] for each in now["replicas"])
        )
        site.signal(signal.SIGTERM)
        await eventually(lambda: turned_away(site))
        assert "slow" == await waiting
        assert 0 == await site.exit_status()
    assert [] == await site.containers()


async def turned_away(site: ContainerDewy) -> bool:
    try:
        await site.fetch("/version")
    except ConnectionError:
        # Refused; or reset, if it was in the queue when that was closed.
        return True
    return False
