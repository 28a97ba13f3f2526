"""Files of variables, as `docker run --env-file` takes them; values stay secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError

__all__ = ["from_file", "read_env_file"]


def from_file(
    path: Path, what: str, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """
    Yield the variables that the file *path* sets, read as engines' own tools do.

    Each line holds one, without quotes; a name alone is passed on if *environ* has it.

    Raises:
        ConfigError: the file cannot be read, or a line has no name or blanks in it.
    """
    for number, line in enumerate(_lines(path, what), 1):
        kept = line.lstrip()
        if not kept or kept.startswith("#"):
            continue
        name, equals, value = kept.partition("=")
        if not name or any(each.isspace() for each in name) or "\0" in line:
            raise ConfigError(f"{what} {str(path)!r}: line {number} must be NAME=VALUE")
        if equals:
            yield name, value
        elif name in environ:
            yield name, environ[name]


def _lines(path: Path, what: str) -> list[str]:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise ConfigError(
            f"{what} {str(path)!r} cannot be read: {exc.strerror}"
        ) from exc
    except ValueError:
        # Not chained: the error holds the content.
        raise ConfigError(f"{what} {str(path)!r} must be UTF-8") from None
    return [line.removesuffix("\r") for line in content.split("\n")]


def read_env_file(path: Path, what: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what `from_file` yields; raises as that."""
    return dict(from_file(path, what, environ))
