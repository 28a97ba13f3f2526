"""Readiness and time limits of the supervisor (seconds)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Self

from ..config import Settings
from ..errors import ConfigError

AUTO_RESTART_KILL_DELAY = 5.0
AUTO_RESTART_INTERVAL = 360.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    Attributes:
        ready: `auto`, `notify` or `grace`.

        start_grace: Time alive that counts as started.

        start_timeout: Limit for READY=1.

        stop_timeout: Time between SIGTERM and SIGKILL.

        kill_old_delay: Time between a new generation's readiness and SIGTERM to the old
            one; if the new one dies meanwhile, the old is spared.

        auto_restart: Interval of restarts without a reason; 0 is never.

        health_path, health_timeout, health_host: The HTTP check, if there is one.
    """

    ready: str = "auto"
    start_grace: float = 1.0
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    kill_old_delay: float = 0.0
    auto_restart: float = 0.0
    health_path: str = ""
    health_timeout: float = 30.0
    health_host: str = "localhost"

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> Self:
        """
        Create a policy from settings, and from the variables of Server::Starter.

        Raises:
            ConfigError: a variable is not a number.
        """
        automatic = environ.get("ENABLE_AUTO_RESTART", "") not in ("", "0")
        return cls(
            ready=settings.ready,
            start_grace=settings.start_grace,
            start_timeout=settings.start_timeout,
            stop_timeout=settings.stop_timeout,
            kill_old_delay=_seconds(
                environ, "KILL_OLD_DELAY", AUTO_RESTART_KILL_DELAY if automatic else 0.0
            ),
            auto_restart=_seconds(
                environ, "AUTO_RESTART_INTERVAL", AUTO_RESTART_INTERVAL
            )
            if automatic
            else 0.0,
            health_path=settings.health_path,
            health_timeout=settings.health_timeout,
            health_host=settings.health_host,
        )


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < inf:
        raise ConfigError(f"{name}={text!r} is not a number of seconds")
    return value
