"""
Checks of endpoints that dewy connects to or listens on, as the command would use them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import cast

from ..admin.http import bind
from ..config import Settings
from ..config.env_file import read_env_file
from ..containers.application import application_of
from ..containers.engines.opening import Runtime, open_engine
from ..containers.lock import engine_lock
from ..containers.model import Engine
from ..containers.options.arguments import parse
from ..containers.options.run_options import SHARED
from ..containers.upstream import require_reach
from ..daemon.runtime import open_endpoints
from ..errors import ConfigError, DewyError, Mistakes
from ..logs import summary
from ..notifiers import Notice, NoticeKind, Origin
from ..notifiers.pipeline import name_of, open_target
from ..notifiers.queue import DELIVERY
from ..proxy.listeners import listen, option_named
from ..proxy.resolver import Resolver
from ..remotes import Clients
from ..supervisor.orphans import left_at, works_in
from ..supervisor.policy import Policy
from ..supervisor.processes import holders, members
from ..supervisor.processes import name_of as process_name
from ..supervisor.sockets import open_listeners
from ..system import hostname
from ..telemetry import load
from .finding import Finding, Level

__all__ = [
    "NOTIFIER",
    "constructor_findings",
    "engine_findings",
    "notifier_findings",
    "option_findings",
    "port_findings",
    "proxy_findings",
]


async def constructor_findings(
    settings: Settings, environ: dict[str, str]
) -> AsyncIterator[Finding]:
    """Yield a finding for each part that cannot be created as configured."""
    mistakes = Mistakes()
    async with Clients() as clients:
        await asyncio.to_thread(open_endpoints, settings, clients, mistakes)
    with mistakes.caught():
        await asyncio.to_thread(load, settings)
    if settings.command == "server":
        with mistakes.caught():
            Policy.of(settings, environ)
        for path in settings.env_files:
            with mistakes.caught():
                place = settings.root / path
                await asyncio.to_thread(read_env_file, place, "--env-file", environ)
    for exc in mistakes.errors:
        yield mistake(exc)


def mistake(exc: ConfigError) -> Finding:
    """Return *exc* as a finding."""
    return Finding(Level.MISTAKE, "option", summary(exc))


NOTIFIER = "notifier"


async def notifier_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Send a test notice through each notifier at once; yield a finding for each."""
    origin = Origin(hostname(), settings.root, settings.command)
    tried = [_tried(url, origin) for url in settings.notifiers]
    for found in await asyncio.gather(*tried):
        yield found


async def _tried(url: str, origin: Origin) -> Finding:
    try:
        target = await asyncio.to_thread(open_target, url, origin)
    except ConfigError as exc:
        return mistake(exc)
    text = (
        f"Test by `dewy check --test-notifiers` on {origin.host}: this notifier works"
    )
    begun = time.monotonic()
    try:
        async with asyncio.timeout(DELIVERY):
            await target.send(Notice(NoticeKind.ORDINARY, text, at=time.time()))
    except (DewyError, OSError) as exc:  # TimeoutError is an OSError
        why = summary(exc) if str(exc) else f"no answer within {DELIVERY:g} s"
        return Finding(Level.FAILURE, NOTIFIER, f"{name_of(url)}: {why}")
    except Exception as exc:  # noqa: BLE001 - a plugin's, which is told as such
        return Finding(Level.FAILURE, NOTIFIER, f"{name_of(url)}: {summary(exc)}")
    took = time.monotonic() - begun
    return Finding(
        Level.OK, NOTIFIER, f"{name_of(url)} accepted a test notice in {took:.1f} s"
    )


ENGINE_PATIENCE = 30.0


async def option_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield findings about the engine options, which stand after `--`."""
    try:
        found = await asyncio.to_thread(
            parse, settings.run_options, os.environ, settings.root
        )
    except ConfigError as exc:
        yield Finding(Level.MISTAKE, "options", summary(exc))
        return
    for caution in found.cautions:
        yield Finding(Level.ATTENTION, "options", caution)


async def engine_findings(
    settings: Settings, running: int = 0
) -> AsyncIterator[Finding]:
    """
    Check whether the engine answers, and which of the application's containers it has.

    *running* is the pid of the dewy that runs in the root, or 0: without it another
    one may keep the containers.
    """
    runtime = cast("Runtime", settings.runtime)
    try:
        async with (
            asyncio.timeout(ENGINE_PATIENCE),
            open_engine(runtime, os.environ) as engine,
        ):
            require_reach(engine, settings.upstream)
            yield Finding(Level.OK, "engine", f"{engine.flavour} at {engine.address}")
            application = application_of(settings)
            if not running:
                async with engine_lock(engine.identity, application, settings.root):
                    pass
            found = await engine.containers(application.selector)
            ours = [each for each in found if application.owns(each)]
            up = sum(each.running for each in ours)
            text = f"{len(ours)} of {application.name}, {up} running"
            yield Finding(Level.OK, "containers", text)
            async for finding in _fit_findings(settings, engine):
                yield finding
    except ConfigError as exc:
        yield Finding(Level.MISTAKE, "engine", summary(exc))
    except TimeoutError:
        text = f"{runtime} did not answer within {ENGINE_PATIENCE:g} s"
        yield Finding(Level.FAILURE, "engine", text, "restart the engine")
    except (DewyError, OSError) as exc:
        yield Finding(Level.FAILURE, "engine", summary(exc))


async def _fit_findings(settings: Settings, engine: Engine) -> AsyncIterator[Finding]:
    """Check the options, and the chosen network, which nothing makes, by the engine."""
    try:
        options = await asyncio.to_thread(
            parse, settings.run_options, os.environ, settings.root
        )
    except ConfigError:
        return  # told by `option_findings`
    options.require_within(engine.limits)
    name = options.network
    if name and name not in SHARED and await engine.network(name) is None:
        text = f"{engine.flavour} has no network {name}, which --network names"
        advice = f"{settings.runtime} network create {name}"
        yield Finding(Level.FAILURE, "network", text, advice)


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
        advice = "start dewy by the service of that socket unit, which passes it on"
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
        return process_name(pid)
    return "a process"


async def proxy_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Check that `dewy proxy` has listeners and backends."""
    if not settings.listen:
        text = "proxy needs a --listen, or a socket passed by systemd"
        yield Finding(Level.ATTENTION, "port", text)
    resolver = Resolver()
    found = await resolver.addresses(settings.backends)
    if found:
        for each in resolver.failing(settings.backends):
            text = f"backend {each} cannot be looked up; only the others serve"
            yield Finding(Level.ATTENTION, "backend", text)
    elif settings.backends:
        names = ", ".join(map(str, settings.backends))
        text = f"no backend can be looked up: {names}"
        yield Finding(Level.FAILURE, "backend", text)
