"""The environment of containers, from `--env` and `--env-file`; values stay secret."""

from __future__ import annotations

from collections.abc import Mapping

from ...config.env_file import from_file
from ...errors import ConfigError

__all__ = ["from_file", "variable"]

Variable = tuple[str, str | None]


def variable(text: str, what: str, environ: Mapping[str, str]) -> Variable:
    """
    Return name and value; a name alone has the value it has in *environ*.

    The value is None if *environ* has none: the image's own is then removed, too.

    Raises:
        ConfigError: the name is missing.
    """
    name, equals, value = text.partition("=")
    if not name or "\0" in text:
        raise ConfigError(f"{what} must be NAME=VALUE, or NAME for dewy's own value")
    return name, value if equals else environ.get(name)
