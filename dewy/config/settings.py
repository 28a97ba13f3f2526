"""Settings of one dewy, validated once, never changed afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from ..errors import ConfigError
from .container import ContainerOptions
from .general import GeneralOptions
from .option import (
    COMMANDS,
    FLAG,
    INIT,
    LIST,
    ORIGINAL_COMMANDS,
    PROXY,
    RUN,
    VERB,
    Option,
    declared,
    option,
)
from .proxying import ProxyOptions
from .values import ValueKind, choice, last, verbatim

__all__ = [
    "COMMANDS",
    "LIST",
    "OPTIONS",
    "ROWS",
    "Option",
    "options_of",
    "options_without_effect",
    "reloadable",
]

IMAGES = "img"

_ENDPOINT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)


def endpoint(text: str, what: str) -> str:
    """
    Return `HOST:PORT`, or "" for none.

    What is refused is not shown: it may be a URL with a password in it.
    """
    match = _ENDPOINT.fullmatch(text)
    if text and not (match and 0 < int(match[1]) < 65536):
        raise ConfigError(
            f"{what} must be HOST:PORT, such as collector.example:4317 or [::1]:4317; "
            "--otlp-insecure selects plain text instead of TLS"
        )
    return text


ENDPOINT = ValueKind("HOST:PORT", last(endpoint))
PATH = ValueKind("PATH", last(verbatim))
LEVEL = ValueKind(
    "LEVEL",
    last(choice("debug", "info", "warn", "error", warning="warn", blank=True)),
)
FORMAT = ValueKind("FORMAT", last(choice("text", "json", blank=True)))


@dataclass(frozen=True, kw_only=True)
class Settings(ProxyOptions, ContainerOptions, GeneralOptions):
    """
    The values of all options of all commands; times are seconds.

    Each option is declared once, by its field here or in a base: see `option`.
    `run_options` are the words after `--`, not yet judged. `admin_port_chosen`:
    somebody asked for that port, so dewy must have it. `cautions` are sentences to log
    as warnings at start, `overridden` names the keys of the file that flags or
    variables override, a phrase each. `registry_unread` are the mistakes for which
    nothing is known of the registry, with commands that go on.
    """

    telemetry: bool = option(
        FLAG,
        "Serve /metrics for Prometheus on the local HTTP API.",
        RUN | PROXY,
        original=True,
    )
    otlp_endpoint: str = option(
        ENDPOINT,
        "Send metrics to this OpenTelemetry collector over gRPC; implies --telemetry.",
        RUN | PROXY,
        original=True,
    )
    otlp_insecure: bool = option(
        FLAG,
        "Use plain text instead of TLS for --otlp-endpoint.",
        RUN | PROXY,
        original=True,
    )

    log_level: str = option(
        LEVEL,
        "Lowest level to log: debug, info, warn or error.",
        COMMANDS,
        short="l",
        default="info",
        original=True,
    )
    log_format: str = option(
        FORMAT,
        "Format of log lines: text or json.",
        COMMANDS,
        short="f",
        default="text",
        original=True,
    )
    config: ClassVar[str] = option(
        PATH,
        "Read options from this file instead of ./dewy.toml.",
        COMMANDS,
    )
    command: str
    root: Path
    cache_dir: Path
    program: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    admin_port_chosen: bool = False
    cautions: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    registry_unread: tuple[str, ...] = ()

    @property
    def images(self) -> bool:
        """The registry is one of images, which only container mode runs."""
        return self.registry.partition("://")[0].lower() == IMAGES

    @property
    def private(self) -> Path:
        """The directory of dewy's own files in this root."""
        return self.root / ".dewy"


T = TypeVar("T")


@dataclass(slots=True)
class Reloadable(Generic[T]):
    """
    Value that `dewy reload` replaces.

    Whoever depends on it holds this, and reads `current` where it is used.
    """

    current: T

    def reload(self, new: T) -> None:
        """Let *new* be in use from now on."""
        self.current = new


def app_name(registry: str, name: str = "") -> str:
    """
    Return the application's name in the admin API and labels: *name* if given, else the
    end of its registry URL.

    "" where there is neither.
    """
    if name:
        return name
    rest = registry.partition("://")[2].partition("?")[0]
    return rest.rstrip("/").rpartition("/")[2].partition(":")[0]


ROWS = tuple(declared(Settings))

# Rows of one name for several commands are written alike.
OPTIONS = {
    option.name: option
    for option in ROWS
    if option is next(row for row in ROWS if row.name == option.name)
}


def options_of(command: str) -> list[Option]:
    """Return the options that have a meaning for *command*."""
    if command == INIT:
        return [option for option in OPTIONS.values() if option.commands & RUN]
    taker = command if command in COMMANDS else VERB
    return [option for option in ROWS if taker in option.commands]


def options_without_effect(command: str) -> list[Option]:
    """Return the options *command* accepts, as the original does, without a meaning."""
    if command not in ORIGINAL_COMMANDS:
        return []
    meant = {option.name for option in options_of(command)}
    rows = OPTIONS.values()
    return [row for row in rows if row.original and row.name not in meant]


def reloadable(command: str) -> frozenset[str]:
    """Return the settings whose change a running *command* takes over on reload."""
    return frozenset(row.setting for row in ROWS if command in row.reloadable)
