"""Status and verbs of a root, with or without a running dewy."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ..config import Settings
from ..config.resolve import missing_registry
from ..deploy.state import StateFile
from ..errors import ConfigError, DewyError, Mistakes, RootBusy
from ..system import Clock
from .client import LOOK, MOMENT, NotAnswering, NotRunning, ask
from .control import PROXY_SOCKET, SOCKET, Progress
from .verbs import VERBS, Operation, Steering

__all__ = ["look", "operate", "steer"]

PATIENCE = 10.0
STEERING = 60.0
# A deployment may fetch a large artifact and wait for hooks and health.
LONG_PATIENCE = 3600.0


async def look(settings: Settings, clock: Clock | None = None) -> dict[str, Any]:
    """
    Return the status of the root, from the dewy that runs there or from disk.

    Where nothing was ever deployed, it may be that of a `dewy proxy`.

    Raises:
        DewyError: the status can be read from neither.
    """
    deployed = await asyncio.to_thread(StateFile(settings.private).path.exists)
    problem = ""
    for name in (SOCKET,) if deployed else (SOCKET, PROXY_SOCKET):
        try:
            answer = await ask(settings.private, "status", PATIENCE, through=name)
            return {key: value for key, value in answer.items() if key != "ok"}
        except NotAnswering as exc:
            problem = str(exc)
        except NotRunning:
            pass
    # Only where no dewy answers: it takes as long to import as all the rest.
    from . import offline

    return await asyncio.to_thread(offline.look, settings, clock or Clock(), problem)


async def operate(
    settings: Settings,
    verb: str,
    version: str | None = None,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> str:
    """
    Carry out *verb*, and return the text for the operator.

    *progress* is called with each step of a verb that takes long.

    Raises:
        DewyError: *verb* cannot be carried out; the message says why.
        OSError: the state could not be written.
    """
    operation = VERBS[verb]
    assert isinstance(operation, Operation)
    until = asyncio.get_running_loop().time() + MOMENT
    while True:
        try:
            return await _operate(settings, operation, version, clock, progress)
        except RootBusy:
            # A dewy that starts right now, or another command, has taken the root.
            if asyncio.get_running_loop().time() >= until:
                raise
        await asyncio.sleep(LOOK)


async def _operate(
    settings: Settings,
    verb: Operation,
    version: str | None,
    clock: Clock | None,
    progress: Progress | None,
) -> str:
    patience = LONG_PATIENCE if verb.slow else PATIENCE
    steps = progress if verb.slow else None
    private = settings.private
    try:
        answer = await ask(private, verb.name, patience, steps, version=version)
        return str(answer.get("message", ""))
    except NotAnswering:
        raise
    except NotRunning:
        await _refused_by_proxy(settings, verb.name)
        if verb.needs_registry and not settings.registry:
            raise _without_registry(settings, verb.name) from None
    from . import offline
    from .images_away import images_away

    away = await images_away(settings) if verb.goes_back and version is None else ()
    return await asyncio.to_thread(
        offline.apply, settings, verb.name, version, clock or Clock(), away
    )


async def _refused_by_proxy(settings: Settings, verb: str) -> None:
    """
    Raise what the proxy of a root says in which nothing was ever deployed, if any runs.

    The state that *verb* would leave there is of no use, and would hide the proxy.
    """
    if not await asyncio.to_thread(StateFile(settings.private).path.exists):
        with suppress(NotRunning):
            await ask(settings.private, verb, PATIENCE, through=PROXY_SOCKET)


def _without_registry(settings: Settings, verb: str) -> ConfigError:
    """Return the error for a *verb* that needs a registry, or why there is none."""
    stated = settings.registry_unread or (missing_registry(verb),)
    return Mistakes(map(ConfigError, stated)).error()


async def steer(settings: Settings, verb: str, **args: Any) -> str:
    """
    Have the dewy of the root, or else its `dewy proxy`, carry out *verb*; return its
    answer.

    Raises:
        DewyError: none runs, or it refused.
    """
    steering = VERBS[verb]
    assert isinstance(steering, Steering)
    # The dewy of a root may be one without a proxy, and a proxy run beside it.
    elsewhere = DewyError if steering.of_proxies else NotRunning
    try:
        answer = await ask(settings.private, verb, STEERING, **args)
    except elsewhere as none:
        try:
            answer = await ask(
                settings.private, verb, STEERING, through=PROXY_SOCKET, **args
            )
        except NotRunning:
            raise none from None
    return str(answer["message"])
