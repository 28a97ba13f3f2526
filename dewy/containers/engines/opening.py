"""The way to the container engine of this host."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ...errors import ConfigError, EngineError, ImplementationUnavailable
from ...extras import install_hint
from ..model import Engine
from .deadlines import STANDARD, EngineDeadlines
from .sockets import (
    STARTED_BY,
    TITLES,
    EngineAddress,
    Runtime,
    candidates,
    choose,
    is_remote,
)

__all__ = ["Runtime", "open_engine"]

SYSTEMD = Path("/run/systemd/system")


@asynccontextmanager
async def open_engine(
    runtime: Runtime, environ: Mapping[str, str], deadlines: EngineDeadlines = STANDARD
) -> AsyncIterator[Engine]:
    """
    Find the engine of *runtime* on this host by *environ* or in the usual places.

    Raises:
        ConfigError: no engine was found, or none that may be used.
        EngineError: the engine does not answer correctly.
        ImplementationUnavailable: aiodocker is missing.
    """
    place = await choose(runtime, candidates(runtime, environ, os.getuid()))
    wire, docker = await asyncio.to_thread(_implementation)
    async with wire.connected(place, TITLES[runtime], environ, deadlines) as line:
        try:
            engine: Engine = await docker.recognised(
                line,
                systemd=await asyncio.to_thread(SYSTEMD.is_dir),
                linux=sys.platform == "linux",
            )
            engine.local = not await is_remote(place)
        except EngineError as exc:
            raise EngineError(_silent(runtime, place, exc)) from exc
        if runtime == "podman" and engine.flavour == "docker":
            raise ConfigError(
                f"--runtime podman: Docker answers at {place.shown}; "
                "say --runtime docker"
            )
        yield engine


def _implementation() -> tuple[ModuleType, ModuleType]:
    try:
        wire = import_module(".client", __package__)
        return wire, import_module(".docker", __package__)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "dewy":
            raise
        raise ImplementationUnavailable(
            f"containers need {exc.name}; {install_hint('container')}"
        ) from exc


def _silent(runtime: Runtime, place: EngineAddress, exc: EngineError) -> str:
    return (
        f"--runtime {runtime}: {exc} (asked {place.shown}); "
        f"is it up? {STARTED_BY[runtime]}"
    )
