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
        "Largest size that an archive may unpack to.",
        FILES,
        default="8GiB",
    ),
    Option(
        "archive-max-ratio",
        RATIO,
        "Largest ratio of unpacked to packed size for archives above 64 MiB, not "
        "counting zeros; 0 for no limit.",
        FILES,
        default="200",
    ),
    Option(
        "archive-max-entries",
        ENTRIES,
        "Largest number of files, directories and links in an archive.",
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
        "Serve /metrics for Prometheus on the local HTTP API.",
        RUN | PROXY,
    ),
    Option(
        "otlp-endpoint",
        ENDPOINT,
        "Send metrics to this OpenTelemetry collector over gRPC; implies --telemetry.",
        RUN | PROXY,
    ),
    Option(
        "otlp-insecure",
        FLAG,
        "Use plain text instead of TLS for --otlp-endpoint.",
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
    Option("registry", URL, "Registry to deploy from; required.", RUN),
    Option(
        "registry",
        URL,
        "Registry to ask when no dewy runs here.",
        ACT | LOOK,
    ),
    Option("cache", URL, "Cache for artifacts and registry answers.", short="c"),
    Option(
        "notifier",
        URLS,
        "Send notifications to this URL; may be repeated.",
        field="notifiers",
    ),
    Option("interval", INTERVAL, "Time between polls.", short="i", default="10s"),
    Option(
        "max-backoff-interval",
        TIME,
        "Longest time between polls while they fail; 0 turns back-off off.",
        default="0",
    ),
    Option(
        "grace-period",
        TIME,
        "How long a new release may lack its artifact before that counts as an error.",
        FILES,
        default="30m",
    ),
    Option(
        "once",
        FLAG,
        "Poll once; assets then exits, server and container go on without polling.",
    ),
    Option(
        "slot",
        TEXT,
        "Deploy only releases of this blue/green slot.",
        RUN | {"why"},
        short="s",
    ),
    Option(
        "calver",
        TEXT,
        "Read versions as calendar versions of this format.",
        RUN | {"why"},
    ),
    Option(
        "before-deploy-hook",
        SHELL,
        "Command to run before a deployment; if it fails, nothing is deployed.",
    ),
    Option("after-deploy-hook", SHELL, "Command to run after a deployment."),
    Option("hook-timeout", SOME_TIME, "How long a hook may take.", default="5m"),
    Option(
        "verify-checksum",
        VERIFY,
        "Check published checksums: off, auto (if there are any) or required.",
        FILES,
        default="auto",
    ),
    Option(
        "verify-signature",
        KEY_FILES,
        "Deploy only artifacts signed with a key in this file of public keys "
        "(minisign, cosign or OpenPGP; for images, cosign); may be repeated. Off "
        "unless set.",
    ),
    *ARCHIVING,
    Option("keep", KEEP, "Number of releases to keep on disk.", FILES, default="7"),
    Option(
        "port",
        PORTS,
        "Listen on this address and pass the socket to the program: a port, a range, "
        "a list with commas, 127.0.0.1:8080 or [::]:8080; may be repeated.",
        SERVER,
        short="p",
        field="ports",
    ),
    Option(
        "env-file",
        ENV_FILES,
        "Add the variables in this file, one NAME=VALUE per line, to the program's "
        "environment; read at each start of the program; may be repeated.",
        SERVER,
        field="env_files",
    ),
    Option(
        "ready",
        READY,
        "When a program counts as ready: once it sends READY=1 to NOTIFY_SOCKET "
        "(notify), once it has run for --start-grace (grace), or the former if it "
        "ever did that, else the latter (auto).",
        SERVER,
        default="auto",
    ),
    Option(
        "start-grace",
        TIME,
        "How long a program that does not send READY=1 must run to count as ready.",
        SERVER,
        default="1s",
    ),
    Option(
        "start-timeout",
        SOME_TIME,
        "How long a program may take to send READY=1.",
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
        "How long dewy and all it runs may take to stop; whatever is left then is "
        "killed.",
        default="25s",
    ),
    Option(
        "probation",
        TIME,
        "Roll back if the new version exits or fails its health checks within this "
        "time after a deployment.",
        SERVER | CONTAINER,
        default="30s",
    ),
    Option(
        "health-path",
        HEALTH_PATH,
        "Let a new program take over only when this path answers 2xx or 3xx on the "
        "lowest --port; until then the old program goes on serving, too.",
        SERVER,
    ),
    Option(
        "health-timeout",
        HEALTH_TIMEOUT,
        "How long a new program may take to answer --health-path with 2xx or 3xx.",
        SERVER,
        default="30s",
    ),
    Option(
        "health-host",
        HEALTH_HOST,
        "Host header to send with health checks.",
        SERVER | CONTAINER | PROXY,
        default="localhost",
    ),
    Option(
        "health-interval",
        SOME_TIME,
        "Time between health checks of a program, container or backend in service.",
        SERVER | CONTAINER | PROXY,
        default="10s",
    ),
    Option(
        "health-rise",
        COUNT,
        "Consecutive good checks that make an unhealthy program, container or backend "
        "healthy again.",
        SERVER | CONTAINER | PROXY,
        default="2",
    ),
    Option(
        "health-fall",
        COUNT,
        "Consecutive bad checks that make a program, container or backend unhealthy.",
        SERVER | CONTAINER | PROXY,
        default="3",
    ),
    Option(
        "no-rollback",
        FLAG,
        "Do not roll back a release that fails its probation.",
        SERVER | CONTAINER,
        field="rollback",
        negates=True,
    ),
    Option(
        "no-capture",
        FLAG,
        "Let the program write straight to dewy's own standard output and error.",
        SERVER,
        field="capture",
        negates=True,
    ),
    Option(
        "admin-port",
        ADMIN_PORT,
        "First port to try for the local HTTP API; 0 turns the API off.",
        RUN | ASK | PROXY,
        default=str(DEFAULT_ADMIN_PORT),
    ),
    *CONTAINING,
    *PROXYING,
    *TELLING,
    Option(
        "log-level",
        LEVEL,
        "Lowest level to log: debug, info, warn or error.",
        COMMANDS,
        short="l",
        default="info",
    ),
    Option(
        "log-format",
        FORMAT,
        "Format of log lines: text or json.",
        COMMANDS,
        short="f",
        default="text",
    ),
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
