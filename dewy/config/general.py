"""The options of all modes, and those of server and assets mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .endpoint import Address
from .option import (
    ACT,
    ASK,
    CONTAINER,
    FILES,
    FLAG,
    HEALTH_PATH,
    LOOK,
    PROXY,
    RUN,
    SERVER,
    SOME_TIME,
    TIME,
    URL,
    option,
)
from .values import (
    ValueKind,
    addresses,
    choice,
    file_list,
    host_header,
    interval,
    last,
    lenient_duration,
    number,
    size,
    url_list,
    verbatim,
)

HEALTH_TIMEOUT = ValueKind("TIME", last(lenient_duration), (int, float, str))
INTERVAL = ValueKind("TIME", last(interval), (int, float, str))
TEXT = ValueKind("TEXT", last(verbatim))
SHELL = ValueKind("COMMAND", last(verbatim))
KEY_FILES = ValueKind("KEYFILE", file_list("a public key"), repeated=True)
ENV_FILES = ValueKind("FILE", file_list("variables"), repeated=True)
COUNT = ValueKind("NUMBER", last(number(1, 100)), (int,))
HEALTH_HOST = ValueKind("HOST", last(host_header))
URLS = ValueKind("URL", url_list, repeated=True)
PORTS = ValueKind("PORT", addresses, (int, str), repeated=True)
KEEP = ValueKind("NUMBER", last(number(2, 1000)), (int,))
ADMIN_PORT = ValueKind("PORT", last(number(0, 65535)), (int,))
READY = ValueKind("HOW", last(choice("auto", "notify", "grace")))
VERIFY = ValueKind("WHEN", last(choice("off", "auto", "required")))
SIZE = ValueKind("SIZE", last(size), (int, str))
RATIO = ValueKind("NUMBER", last(number(0, 1_000_000)), (int,))
ENTRIES = ValueKind("NUMBER", last(number(1, 100_000_000)), (int,))
LINKS = ValueKind("WHICH", last(choice("auto", "allow", "refuse")))


@dataclass(frozen=True, kw_only=True)
class GeneralOptions:
    """
    The options that server and assets mode have, some of them with other modes.

    `registry` already carries `--calver` in its query. `cache` is empty for the
    local one in the directory of the cache.
    """

    registry: str = option(
        URL,
        {
            RUN: "Registry to deploy from; required.",
            ACT | LOOK: "Registry to ask when no dewy runs here.",
        },
        original=True,
    )
    cache: str = option(
        URL,
        "Cache for artifacts and registry answers.",
        short="c",
        original=True,
    )
    notifiers: tuple[str, ...] = option(
        URLS,
        "Send notifications to this URL; may be repeated.",
        name="notifier",
        original=True,
    )
    interval: float = option(
        INTERVAL,
        "Time between polls.",
        short="i",
        default="10s",
        reloadable=CONTAINER,
        original=True,
    )
    max_backoff_interval: float = option(
        TIME,
        "Longest time between polls while they fail; 0 turns back-off off.",
        default="0",
        reloadable=CONTAINER,
    )
    grace_period: float = option(
        TIME,
        "How long a new release may lack its artifact before that counts as an error.",
        FILES,
        default="30m",
    )
    once: bool = option(
        FLAG,
        "Poll once; assets then exits, server and container go on without polling.",
    )
    slot: str = option(
        TEXT,
        "Deploy only releases of this blue/green slot.",
        RUN | {"why"},
        short="s",
        original=True,
    )
    calver: ClassVar[str] = option(
        TEXT,
        "Read versions as calendar versions of this format.",
        RUN | {"why"},
        original=True,
    )
    before_deploy_hook: str = option(
        SHELL,
        "Command to run before a deployment; if it fails, nothing is deployed.",
        reloadable=CONTAINER,
        original=True,
    )
    after_deploy_hook: str = option(
        SHELL,
        "Command to run after a deployment.",
        reloadable=CONTAINER,
        original=True,
    )
    hook_timeout: float = option(
        SOME_TIME,
        "How long a hook may take.",
        default="5m",
        reloadable=CONTAINER,
    )
    verify_checksum: str = option(
        VERIFY,
        "Check published checksums: off, auto (if there are any) or required.",
        FILES,
        default="auto",
    )
    verify_signature: tuple[str, ...] = option(
        KEY_FILES,
        "Deploy only artifacts signed with a key in this file of public keys "
        "(minisign, cosign or OpenPGP; for images, cosign); may be repeated. "
        "Off unless set.",
    )
    archive_max_bytes: int = option(
        SIZE,
        "Largest size that an archive may unpack to.",
        FILES,
        default="8GiB",
    )
    archive_max_ratio: int = option(
        RATIO,
        "Largest ratio of unpacked to packed size for archives above 64 MiB, "
        "not counting zeros; 0 for no limit.",
        FILES,
        default="200",
    )
    archive_max_entries: int = option(
        ENTRIES,
        "Largest number of files, directories and links in an archive.",
        FILES,
        default="200000",
    )
    absolute_links: str = option(
        LINKS,
        "Links to absolute paths in an archive: allow, refuse, or auto (allowed"
        " by server, refused by assets).",
        FILES,
        default="auto",
    )
    keep: int = option(
        KEEP,
        "Number of releases to keep on disk.",
        FILES,
        default="7",
        reloadable=CONTAINER,
    )
    ports: tuple[Address, ...] = option(
        PORTS,
        "Listen on this address and pass the socket to the program: a port, a "
        "range, a list with commas, 127.0.0.1:8080 or [::]:8080; may be "
        "repeated.",
        SERVER,
        name="port",
        short="p",
        original=True,
    )
    env_files: tuple[str, ...] = option(
        ENV_FILES,
        "Add the variables in this file, one NAME=VALUE per line, to the "
        "program's environment; read at each start of the program; may be "
        "repeated.",
        SERVER,
        name="env-file",
    )
    ready: str = option(
        READY,
        "When a program counts as ready: once it sends READY=1 to NOTIFY_SOCKET"
        " (notify), once it has run for --start-grace (grace), or the former if"
        " it ever did that, else the latter (auto).",
        SERVER,
        default="auto",
    )
    start_grace: float = option(
        TIME,
        "How long a program that does not send READY=1 must run to count as ready.",
        SERVER,
        default="1s",
    )
    start_timeout: float = option(
        SOME_TIME,
        "How long a program may take to send READY=1.",
        SERVER,
        default="60s",
    )
    stop_timeout: float = option(
        TIME,
        "How long a program may take to stop before it is killed.",
        SERVER,
        default="30s",
        reloadable=CONTAINER,
    )
    shutdown_timeout: float = option(
        SOME_TIME,
        "How long dewy and all it runs may take to stop; whatever is left then "
        "is killed.",
        default="25s",
    )
    probation: float = option(
        TIME,
        "Roll back if the new version exits or fails its health checks within "
        "this time after a deployment.",
        SERVER | CONTAINER,
        default="30s",
        reloadable=CONTAINER,
    )
    health_path: str = option(
        HEALTH_PATH,
        "Let a new program take over only when this path answers 2xx or 3xx on "
        "the lowest --port; until then the old program goes on serving, too.",
        SERVER,
        original=True,
        reloadable=CONTAINER | PROXY,
    )
    health_timeout: float = option(
        HEALTH_TIMEOUT,
        "How long a new program may take to answer --health-path with 2xx or 3xx.",
        SERVER,
        default="30s",
        original=True,
        reloadable=CONTAINER,
    )
    health_host: str = option(
        HEALTH_HOST,
        "Host header to send with health checks.",
        SERVER | CONTAINER | PROXY,
        default="localhost",
        reloadable=PROXY,
    )
    health_interval: float = option(
        SOME_TIME,
        "Time between health checks of a program, container or backend in service.",
        SERVER | CONTAINER | PROXY,
        default="10s",
        reloadable=CONTAINER | PROXY,
    )
    health_rise: int = option(
        COUNT,
        "Consecutive good checks that make an unhealthy program, container or "
        "backend healthy again.",
        SERVER | CONTAINER | PROXY,
        default="2",
        reloadable=CONTAINER | PROXY,
    )
    health_fall: int = option(
        COUNT,
        "Consecutive bad checks that make a program, container or backend unhealthy.",
        SERVER | CONTAINER | PROXY,
        default="3",
        reloadable=CONTAINER | PROXY,
    )
    rollback: bool = option(
        FLAG,
        "Do not roll back a release that fails its probation.",
        SERVER | CONTAINER,
        name="no-rollback",
        negates=True,
        reloadable=CONTAINER,
    )
    capture: bool = option(
        FLAG,
        "Let the program write straight to dewy's own standard output and error.",
        SERVER,
        name="no-capture",
        negates=True,
    )
    admin_port: int = option(
        ADMIN_PORT,
        "First port to try for the local HTTP API; 0 turns the API off.",
        RUN | ASK | PROXY,
        default="17539",
        original=True,
    )
