"""Control socket and checks of the proxy alone: what goes on beside relaying."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from ..admin.address import PROXY_LOCK, PROXY_SOCKET
from ..admin.control import ControlServer
from ..admin.proxy_status import proxy_status
from ..deploy.deployer import Progress
from ..deploy.lock import lock
from ..errors import DewyError
from ..proxy.frontend import Frontend
from ..proxy.port import Pausing
from ..proxy.standalone import ProxyReload
from .backend_health import checked

__all__ = ["beside"]

log = logging.getLogger(__name__)


@asynccontextmanager
async def beside(frontend: Frontend, reload: ProxyReload) -> AsyncIterator[None]:
    """Check the backends of *frontend* and answer commands while the block lasts."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(checked(frontend))
        await _take_orders(frontend, reload, stack)
        yield


async def _take_orders(
    frontend: Frontend, reload: ProxyReload, stack: AsyncExitStack
) -> None:
    """
    Open the control socket, on which relaying does not depend.

    It is not that of the root's dewy, beside which a proxy may run.
    """
    private = frontend.settings.private
    try:
        held = lock(private, PROXY_LOCK)
        await asyncio.to_thread(stack.enter_context, held)
        pausing = Pausing([frontend])
        stack.callback(pausing.leave)
        handler = _handler(frontend, reload, pausing)
        control = ControlServer(private / PROXY_SOCKET, handler)
        await stack.enter_async_context(control)
    except (DewyError, OSError) as exc:
        log.warning(
            "Control socket not opened: no command reaches this proxy; "
            "start it in a directory of its own",
            extra={"socket": str(private / PROXY_SOCKET), "error": exc},
        )


def _handler(frontend: Frontend, reload: ProxyReload, pausing: Pausing) -> Any:
    settings = frontend.settings
    name = settings.name or settings.root.name

    async def handle(
        verb: str, args: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        if verb == "reload":
            work = reload.preview if args.get("dry") else reload.reload
            return {"message": await work()}
        if verb == "pause":
            return {"message": pausing.begin(args.get("seconds"))}
        if verb == "resume":
            return {"message": pausing.end()}
        if verb != "status":
            raise DewyError(f"dewy proxy deploys nothing, and does not know {verb}")
        return proxy_status(
            frontend.proxy.ports,
            name=name,
            root=str(settings.root),
            pid=os.getpid(),
            unresolved=frontend.unresolved(),
        )

    return handle
