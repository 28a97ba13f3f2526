"""The options after `--` that an engine is known to refuse (pure)."""

from __future__ import annotations

from ..errors import ConfigError
from .model import EngineLimits
from .options.arguments import RunOptions

__all__ = ["require_within"]


def require_within(limits: EngineLimits, options: RunOptions) -> None:
    """
    Refuse *options* with which an engine of such *limits* makes no container.

    Raises:
        ConfigError: an option is beyond a limit.
    """
    runtime, cpus = options.runtime, options.processors
    if runtime and limits.runtimes and runtime not in limits.runtimes:
        known = ", ".join(sorted(limits.runtimes))
        raise ConfigError(
            f"run option --runtime {runtime} is not one of the engine's: {known}"
        )
    if 0 < limits.processors < cpus:
        raise ConfigError(
            f"run option --cpus {cpus:g} must be {limits.processors} or less, since "
            "the engine has no more"
        )
