"""Ports: whether they can be had, and who has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from ..admin.http import bind
from ..config import Settings
from ..errors import DewyError
from ..proxy.listeners import listen, option_named
from ..supervisor.orphans import left_at, works_in
from ..supervisor.processes import holders, members, name_of
from ..supervisor.sockets import open_listeners
from .finding import Finding, Level

__all__ = ["port_findings"]

INIT = 1


async def port_findings(settings: Settings, running: int) -> AsyncIterator[Finding]:
    """
    Check each port of *settings*: bind it for a moment as the command would.

    Args:
        running: The pid of the dewy that runs in the root, or 0.
    """
    for address in settings.ports:
        try:
            with await open_listeners([address], (), 0.0):
                pass
        except DewyError as exc:
            yield await asyncio.to_thread(_taken, address.port, exc, settings, running)
        else:
            yield Finding(Level.OK, "port", f"{address.name} is free")
    # Looking at a Unix socket would leave its file.
    addresses = [each for each in settings.listen if not each.path]
    option = "--listen" if settings.command == "proxy" else "--port"
    for endpoint in (*(each.endpoint for each in settings.port_mappings), *addresses):
        try:
            with option_named(option):
                (await listen(endpoint)).close()
        except DewyError as exc:
            yield await asyncio.to_thread(_taken, endpoint.port, exc, settings, running)
        else:
            yield Finding(Level.OK, "port", f"{endpoint} is free")
    if not running and _serves_http(settings):
        yield await _admin_port(settings)


def _serves_http(settings: Settings) -> bool:
    measured = settings.telemetry or settings.otlp_endpoint
    chosen = settings.admin_port_chosen or measured or settings.command != "proxy"
    return bool(settings.admin_port and chosen)


async def _admin_port(settings: Settings) -> Finding:
    try:
        server, port = await bind(asyncio.Protocol, settings.admin_port)
        server.close()
        return Finding(Level.OK, "port", f"{port} is free for the HTTP API")
    except DewyError as exc:
        fatal = settings.admin_port_chosen
        level = Level.FAILURE if fatal else Level.ATTENTION
        return Finding(level, "port", str(exc))


def _taken(port: int, exc: DewyError, settings: Settings, running: int) -> Finding:
    pids = holders(port)
    if pids and running and _ours(pids, running):
        text = f"{port} is held by the dewy that runs here (pid {running})"
        return Finding(Level.OK, "port", text)
    if INIT in pids:
        text = f"{port} is held by systemd"
        advice = "start dewy by the service of that socket unit, which hands it over"
        return Finding(Level.ATTENTION, "port", text, advice)
    if settings.command == "server" and (left := left_at(port, settings.root)[0]):
        advice = "if it is left over when dewy starts, dewy ends it in order"
        return _in_this_root(port, min(left), advice)
    if pids and all(works_in(pid, settings.root) for pid in pids):
        return _in_this_root(port, pids[0], "stop it before dewy starts")
    return Finding(Level.FAILURE, "port", str(exc))


def _ours(pids: Iterable[int], running: int) -> bool:
    return set(pids) <= members(running)


def _in_this_root(port: int, pid: int, advice: str) -> Finding:
    text = f"{port} is held by {_name(pid)} (pid {pid}), which runs in this root"
    return Finding(Level.ATTENTION, "port", text, advice)


def _name(pid: int) -> str:
    with suppress(OSError):
        return name_of(pid)
    return "a process"
