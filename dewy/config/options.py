"""Options: flag, `DEWY_…` variable and key of `dewy.toml` in one."""

from __future__ import annotations

import re

from ..errors import ConfigError
from .container import CONTAINING
from .option import (
    ADMIN_PORT,
    CONTAINER,
    COUNT,
    ENV_FILES,
    FILES,
    FLAG,
    FORMAT,
    HEALTH_HOST,
    HEALTH_PATH,
    HEALTH_TIMEOUT,
    INTERVAL,
    KEEP,
    KEY_FILES,
    LEVEL,
    PATH,
    PORTS,
    READY,
    RUN,
    SERVER,
    SHELL,
    SOME_TIME,
    TEXT,
    TIME,
    URL,
    URLS,
    VERIFY,
    Option,
)
from .proxying import PROXY, PROXYING
from .settings import DEFAULT_ADMIN_PORT
from .values import ValueKind, choice, last, number, size

__all__ = [
    "COMMANDS",
    "LIST",
    "OPTIONS",
    "ROWS",
    "Option",
    "options_of",
    "options_without_effect",
]

SIZE = ValueKind("SIZE", last(size), (int, str))
RATIO = ValueKind("NUMBER", last(number(0, 1_000_000)), (int,))
ENTRIES = ValueKind("NUMBER", last(number(1, 100_000_000)), (int,))
LINKS = ValueKind("WHICH", last(choice("auto", "allow", "refuse")))

ARCHIVING = (
    Option(
        "archive-max-bytes",
        SIZE,
        "Most bytes an archive may unpack to.",
        FILES,
        default="8GiB",
    ),
    Option(
        "archive-max-ratio",
        RATIO,
        "Most times its own size an archive above 64 MiB may unpack to, zeros left "
        "out; 0 for any.",
        FILES,
        default="200",
    ),
    Option(
        "archive-max-entries",
        ENTRIES,
        "Most files, directories and links in an archive.",
        FILES,
        default="200000",
    ),
    Option(
        "absolute-links",
        LINKS,
        "Links to absolute paths in an archive: allow, refuse, or auto (allowed by "
        "server, refused by assets).",
        FILES,
        default="auto",
    ),
)


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
            "plain text instead of TLS is asked for by --otlp-insecure"
        )
    return text


ENDPOINT = ValueKind("HOST:PORT", last(endpoint))

TELLING = (
    Option(
        "telemetry",
        FLAG,
        "Answer /metrics on the local HTTP API, for Prometheus.",
        RUN | PROXY,
    ),
    Option(
        "otlp-endpoint",
        ENDPOINT,
        "Tell this OpenTelemetry collector, by gRPC; turns telemetry on.",
        RUN | PROXY,
    ),
    Option(
        "otlp-insecure",
        FLAG,
        "Tell it in plain text instead of TLS.",
        RUN | PROXY,
    ),
)


LIST = "container list"
INIT = "init"
"""The command that takes the options of those for which it writes a file."""

STEER = frozenset({"pause", "resume", "reload"})
ACT = frozenset({"abort", "deploy", "retry", "rollback", "hold", "unhold"}) | STEER
LOOK = frozenset({"doctor", "status", "history", "why", "logs", "exec"})
ASK = frozenset({LIST, "ps"})
ROOTED = RUN | ACT | LOOK
COMMANDS = ROOTED | PROXY | ASK

# The original takes each of its flags with each of its commands.
ORIGINAL_COMMANDS = frozenset({"server", "assets", "container", LIST})
ORIGINAL = frozenset(
    {
        "admin-port",
        "after-deploy-hook",
        "before-deploy-hook",
        "cache",
        "calver",
        "cmd",
        "drain-time",
        "health-path",
        "health-timeout",
        "interval",
        "log-format",
        "log-level",
        "name",
        "notifier",
        "otlp-endpoint",
        "otlp-insecure",
        "port",
        "proxy-idle-timeout",
        "registry",
        "replicas",
        "runtime",
        "slot",
        "telemetry",
    }
)

ROWS = (
    Option("registry", URL, "Where releases are published; required.", RUN),
    Option(
        "registry",
        URL,
        "Where releases are published; asked where no dewy runs.",
        ACT | LOOK,
    ),
    Option("cache", URL, "Where artifacts and answers are kept.", short="c"),
    Option(
        "notifier", URLS, "Where people are told; may be repeated.", field="notifiers"
    ),
    Option("interval", INTERVAL, "Time between polls.", short="i", default="10s"),
    Option(
        "max-backoff-interval",
        TIME,
        "Longest time between polls while they fail; 0 for no back-off.",
        default="0",
    ),
    Option(
        "grace-period",
        TIME,
        "How long a release may lack its artifact without being an error.",
        FILES,
        default="30m",
    ),
    Option(
        "once",
        FLAG,
        "Poll once; then assets leaves, server and container only supervise.",
    ),
    Option(
        "slot",
        TEXT,
        "Take only releases of this blue/green slot.",
        RUN | {"why"},
        short="s",
    ),
    Option(
        "calver",
        TEXT,
        "Versions are calendar versions of this format.",
        RUN | {"why"},
    ),
    Option("before-deploy-hook", SHELL, "Runs before a deployment; failing stops it."),
    Option("after-deploy-hook", SHELL, "Runs after a deployment."),
    Option("hook-timeout", SOME_TIME, "How long a hook may take.", default="5m"),
    Option(
        "verify-checksum",
        VERIFY,
        "Check published checksums: off, auto (where there are any) or required.",
        FILES,
        default="auto",
    ),
    Option(
        "verify-signature",
        KEY_FILES,
        "Deploy only what is signed with one of these public keys: of minisign, "
        "cosign or OpenPGP, for images of cosign; may be repeated. Off unless set.",
    ),
    *ARCHIVING,
    Option("keep", KEEP, "Releases kept on disk.", FILES, default="7"),
    Option(
        "port",
        PORTS,
        "Listen here and hand it to the program: a port, a range, a comma list, "
        "127.0.0.1:8080 or [::]:8080; may be repeated.",
        SERVER,
        short="p",
        field="ports",
    ),
    Option(
        "env-file",
        ENV_FILES,
        "Give the program the variables in this file, a line NAME=VALUE each; read "
        "for each generation; may be repeated.",
        SERVER,
        field="env_files",
    ),
    Option(
        "ready",
        READY,
        "What makes a program ready: READY=1 on NOTIFY_SOCKET (notify), having "
        "lived through --start-grace (grace), or what it did before (auto).",
        SERVER,
        default="auto",
    ),
    Option(
        "start-grace",
        TIME,
        "How long a program that cannot say so must live to be ready.",
        SERVER,
        default="1s",
    ),
    Option(
        "start-timeout",
        SOME_TIME,
        "How long a program may take to say it is ready.",
        SERVER,
        default="60s",
    ),
    Option(
        "stop-timeout",
        TIME,
        "How long a program may take to stop before it is killed.",
        SERVER,
        default="30s",
    ),
    Option(
        "shutdown-timeout",
        SOME_TIME,
        "How long dewy may take to stop, with all it runs; what still drains or "
        "stops then is killed.",
        default="25s",
    ),
    Option(
        "probation",
        TIME,
        "Dying this soon after a deployment, or a row of bad health checks, "
        "rolls it back.",
        SERVER | CONTAINER,
        default="30s",
    ),
    Option(
        "health-path",
        HEALTH_PATH,
        "Let a new program take over only when this path answers 2xx or 3xx on the "
        "lowest --port; until then the old one answers clients, too.",
        SERVER,
    ),
    Option(
        "health-timeout",
        HEALTH_TIMEOUT,
        "How long it may take to answer so.",
        SERVER,
        default="30s",
    ),
    Option(
        "health-host",
        HEALTH_HOST,
        "Host header of health checks.",
        SERVER | CONTAINER | PROXY,
        default="localhost",
    ),
    Option(
        "health-interval",
        SOME_TIME,
        "Time between checks of a program, a container or a backend that serves.",
        SERVER | CONTAINER | PROXY,
        default="10s",
    ),
    Option(
        "health-rise",
        COUNT,
        "Good checks in a row after which it is healthy again, and gets connections.",
        SERVER | CONTAINER | PROXY,
        default="2",
    ),
    Option(
        "health-fall",
        COUNT,
        "Bad checks in a row after which it is unhealthy, and others get connections.",
        SERVER | CONTAINER | PROXY,
        default="3",
    ),
    Option(
        "no-rollback",
        FLAG,
        "Leave a release that fails in probation in place.",
        SERVER | CONTAINER,
        field="rollback",
        negates=True,
    ),
    Option(
        "no-capture",
        FLAG,
        "Let the program write to dewy's own output directly.",
        SERVER,
        field="capture",
        negates=True,
    ),
    Option(
        "admin-port",
        ADMIN_PORT,
        "First port tried for the local HTTP API; 0 for none.",
        RUN | ASK | PROXY,
        default=str(DEFAULT_ADMIN_PORT),
    ),
    *CONTAINING,
    *PROXYING,
    *TELLING,
    Option(
        "log-level",
        LEVEL,
        "debug, info, warn or error.",
        COMMANDS,
        short="l",
        default="info",
    ),
    Option("log-format", FORMAT, "text or json.", COMMANDS, short="f", default="text"),
    Option(
        "config",
        PATH,
        "Read options from this file instead of ./dewy.toml.",
        COMMANDS,
        field="",
    ),
)

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
    return [option for option in ROWS if command in option.commands]


def options_without_effect(command: str) -> list[Option]:
    """Return the options *command* accepts, as the original does, without a meaning."""
    if command not in ORIGINAL_COMMANDS:
        return []
    meant = {option.name for option in options_of(command)}
    return [OPTIONS[name] for name in OPTIONS if name in ORIGINAL - meant]
