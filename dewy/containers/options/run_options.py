"""The options of `docker run`: those that dewy takes, and those refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .quantities import (
    absolute,
    address,
    capability,
    cpus,
    extra_host,
    flag,
    gpus,
    matching,
    nanoseconds,
    only,
    pair,
    size,
    swap,
    text,
    ulimit,
    whole,
)

__all__ = [
    "REFUSED",
    "REFUSED_SHORTS",
    "RUN_OPTIONS",
    "SHARED",
    "UNFIT_NETWORKS",
    "Many",
    "RunOption",
    "unfit",
]

Reader = Callable[[str, str], Any]


class Many(Enum):
    """Meaning of an option that is given several times."""

    LAST = "the last one counts"
    LIST = "all count, in order"
    PAIRS = "all count, the last one of each name"


@dataclass(frozen=True, slots=True)
class RunOption:
    """
    Option that may stand after `--`.

    Attributes:
        name: Long form without the dashes.

        at: Path of its value in the request to create a container; empty for an option
            that is more than one value.

        read: Reader of the text and the name of the option; the text of a flag is
            `true`.

        value: Name of the value in the reference; "" for a flag.

        help: Purpose, in a few words.

        short: Letter, or "".

        secret: Whether the value may be secret, so that errors do not show it.
    """

    name: str
    at: tuple[str, ...]
    read: Reader
    value: str
    help: str
    short: str = ""
    many: Many = Many.LAST
    secret: bool = False


def _verbatim(value: str, what: str) -> str:
    return value


def _command(value: str, what: str) -> list[str]:
    return ["CMD-SHELL", text(value, what)]


def _words(value: str, what: str) -> list[str]:
    return [value]


HOST, HEALTH = "HostConfig", "Healthcheck"
NO_EFFECT = "no effect"
LIST, PAIRS = Many.LIST, Many.PAIRS
NAME = matching(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    "letters, digits, '_', '.' and '-', the first a letter or digit",
)
USER = matching(r"[^\s:]*(?::[^\s:]+)?", "NAME|UID[:GROUP|GID]")
CPUSET = matching(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*", "a list such as 0-3,6")
SIGNAL = matching(r"(?:SIG)?[A-Z0-9]+(?:[+-]\d+)?", "a signal such as SIGQUIT")
PLATFORM = matching(r"[\w.-]+(?:/[\w.-]+){0,2}", "a platform such as linux/arm64")
_OPENED = "it would open this host to the container"
IPC = only("private", "none", "shareable", why=_OPENED)
PRIVATE = only("private", why=_OPENED)
HARDENING = only("no-new-privileges", "no-new-privileges:true", why=_OPENED)
HOSTNAME = matching(r"[A-Za-z0-9_.-]{1,253}", "a host name")

_ALL = (
    # The program's surroundings.
    RunOption(
        "env", (), _verbatim, "NAME[=VALUE]", "environment variable", "e", PAIRS, True
    ),
    RunOption("env-file", (), text, "PATH", "file of environment variables", "", LIST),
    RunOption("user", ("User",), USER, "USER[:GROUP]", "user of the process", "u"),
    RunOption(
        "group-add", (HOST, "GroupAdd"), text, "GROUP", "additional group", "", LIST
    ),
    RunOption("workdir", ("WorkingDir",), absolute, "PATH", "working directory", "w"),
    RunOption("entrypoint", ("Entrypoint",), _words, "PATH", "instead of the image's"),
    RunOption("init", (HOST, "Init"), flag, "", "run an init that reaps processes"),
    RunOption("stop-signal", ("StopSignal",), SIGNAL, "SIGNAL", "signal that stops it"),
    RunOption(
        "stop-timeout",
        (),
        whole(0, 10**6),
        "SECONDS",
        "time between stop signal and SIGKILL",
    ),
    RunOption("platform", (), PLATFORM, "OS/ARCH", "platform of the image"),
    # Files.
    RunOption(
        "volume",
        (),
        text,
        "[SOURCE:]PLACE[:MODES]",
        "directory or volume to mount",
        "v",
        LIST,
    ),
    RunOption(
        "mount", (), text, "KEY=VALUE,…", "the same, as keys and values", "", LIST, True
    ),
    RunOption("tmpfs", (), text, "PLACE[:OPTIONS]", "directory in memory", "", LIST),
    RunOption(
        "read-only",
        (HOST, "ReadonlyRootfs"),
        flag,
        "",
        "make the root file system read-only",
    ),
    RunOption("shm-size", (HOST, "ShmSize"), size, "SIZE", "size of /dev/shm"),
    RunOption(
        "storage-opt",
        (HOST, "StorageOpt"),
        pair,
        "KEY=VALUE",
        "option of the container's layer",
        "",
        PAIRS,
    ),
    # Limits.
    RunOption("memory", (HOST, "Memory"), size, "SIZE", "memory limit", "m"),
    RunOption(
        "memory-reservation",
        (HOST, "MemoryReservation"),
        size,
        "SIZE",
        "soft memory limit",
    ),
    RunOption(
        "memory-swap",
        (HOST, "MemorySwap"),
        swap,
        "SIZE",
        "limit of memory and swap; -1 for none",
    ),
    RunOption(
        "memory-swappiness",
        (HOST, "MemorySwappiness"),
        whole(0, 100),
        "NUMBER",
        "tendency to swap, 0–100",
    ),
    RunOption(
        "cpus", (HOST, "NanoCpus"), cpus, "NUMBER", "number of processors, such as 1.5"
    ),
    RunOption(
        "cpu-shares",
        (HOST, "CpuShares"),
        whole(0, 2**18),
        "NUMBER",
        "relative share of processor time",
        "c",
    ),
    RunOption("cpu-period", (HOST, "CpuPeriod"), whole(0, 10**6), "NUMBER", "in µs"),
    RunOption("cpu-quota", (HOST, "CpuQuota"), whole(-1, 10**9), "NUMBER", "in µs"),
    RunOption("cpuset-cpus", (HOST, "CpusetCpus"), CPUSET, "LIST", "processors to use"),
    RunOption(
        "cpuset-mems", (HOST, "CpusetMems"), CPUSET, "LIST", "memory nodes to use"
    ),
    RunOption(
        "pids-limit",
        (HOST, "PidsLimit"),
        whole(-1, 2**31),
        "NUMBER",
        "number of processes; -1 for any",
    ),
    RunOption(
        "ulimit",
        (HOST, "Ulimits"),
        ulimit,
        "NAME=SOFT[:HARD]",
        "resource limit, such as nofile",
        "",
        PAIRS,
    ),
    RunOption(
        "oom-score-adj",
        (HOST, "OomScoreAdj"),
        whole(-1000, 1000),
        "NUMBER",
        "preference of the OOM killer, -1000–1000",
    ),
    RunOption("oom-kill-disable", (HOST, "OomKillDisable"), flag, "", "needs --memory"),
    RunOption(
        "gpus", (HOST, "DeviceRequests"), gpus, "all|NUMBER|…", "GPUs to use", "", LIST
    ),
    RunOption(
        "cap-drop",
        (HOST, "CapDrop"),
        capability,
        "NAME",
        "capability to drop, or ALL",
        "",
        LIST,
    ),
    RunOption(
        "sysctl",
        (HOST, "Sysctls"),
        pair,
        "KEY=VALUE",
        "kernel parameter of its namespace",
        "",
        PAIRS,
    ),
    RunOption("runtime", (HOST, "Runtime"), NAME, "NAME", "OCI runtime, such as runsc"),
    RunOption(
        "blkio-weight",
        (HOST, "BlkioWeight"),
        whole(0, 1000),
        "NUMBER",
        "relative share of block I/O, 10–1000",
    ),
    RunOption(
        "cgroup-parent", (HOST, "CgroupParent"), text, "PATH", "parent of its cgroup"
    ),
    RunOption(
        "cgroupns", (HOST, "CgroupnsMode"), PRIVATE, "private", "cgroup namespace"
    ),
    RunOption("ipc", (HOST, "IpcMode"), IPC, "private|none|…", "IPC namespace"),
    RunOption(
        "security-opt",
        (HOST, "SecurityOpt"),
        HARDENING,
        "no-new-privileges",
        "no new privileges through setuid programs",
        "",
        LIST,
    ),
    # Names and networks.
    RunOption("name", (), NAME, "NAME", "beginning of the containers' names"),
    RunOption("hostname", ("Hostname",), HOSTNAME, "NAME", "of every replica", "h"),
    RunOption("domainname", ("Domainname",), HOSTNAME, "NAME", "of every replica"),
    RunOption("network", (), text, "NAME", "instead of a network of its own"),
    RunOption(
        "network-alias",
        (),
        HOSTNAME,
        "NAME",
        "name of all replicas in the network",
        "",
        LIST,
    ),
    RunOption(
        "add-host",
        (HOST, "ExtraHosts"),
        extra_host,
        "NAME:IP",
        "line of /etc/hosts",
        "",
        LIST,
    ),
    RunOption("dns", (HOST, "Dns"), address, "IP", "name server", "", LIST),
    RunOption(
        "dns-search", (HOST, "DnsSearch"), text, "DOMAIN", "search domain", "", LIST
    ),
    RunOption(
        "dns-option",
        (HOST, "DnsOptions"),
        text,
        "OPTION",
        "option of the resolver",
        "",
        LIST,
    ),
    # Labels and the like.
    RunOption(
        "label",
        ("Labels",),
        _verbatim,
        "KEY[=VALUE]",
        "of every replica",
        "l",
        PAIRS,
        True,
    ),
    RunOption(
        "log-driver",
        (HOST, "LogConfig", "Type"),
        text,
        "NAME",
        "instead of the engine's",
    ),
    RunOption(
        "log-opt",
        (HOST, "LogConfig", "Config"),
        pair,
        "KEY=VALUE",
        "option of the log driver",
        "",
        PAIRS,
        True,
    ),
    # The image's own health check.
    RunOption(
        "health-cmd",
        (HEALTH, "Test"),
        _command,
        "COMMAND",
        "instead of the image's",
        secret=True,
    ),
    RunOption(
        "health-interval",
        (HEALTH, "Interval"),
        nanoseconds,
        "TIME",
        "time between checks",
    ),
    RunOption(
        "health-timeout",
        (HEALTH, "Timeout"),
        nanoseconds,
        "TIME",
        "time limit of one check",
    ),
    RunOption(
        "health-start-period",
        (HEALTH, "StartPeriod"),
        nanoseconds,
        "TIME",
        "time at the start in which checks may fail",
    ),
    RunOption(
        "health-retries",
        (HEALTH, "Retries"),
        whole(0, 10**6),
        "NUMBER",
        "failures until unhealthy",
    ),
    RunOption("no-healthcheck", (), flag, "", "ignore the image's HEALTHCHECK"),
    # Accepted, because unit files of the original have them.
    RunOption("restart", (), _verbatim, "POLICY", "no effect: dewy restarts replicas"),
    RunOption("quiet", (), flag, "", "no effect: dewy pulls images itself", "q"),
    RunOption("pull", (), _verbatim, "POLICY", "no effect: dewy pulls by digest"),
    RunOption(
        "rm",
        (),
        flag,
        "",
        "no effect: dewy removes replaced containers, after reading their logs",
    ),
    RunOption("detach", (), flag, "", "no effect: dewy does not attach", "d"),
    RunOption("detach-keys", (), _verbatim, "KEYS", "no effect: dewy does not attach"),
    RunOption("sig-proxy", (), flag, "", "no effect: dewy does not attach"),
    RunOption("disable-content-trust", (), flag, "", "no effect: dewy pulls by digest"),
    RunOption(
        "expose",
        (),
        _verbatim,
        "PORT",
        "no effect: use --port PROXY:CONTAINER",
        "",
        LIST,
    ),
    RunOption("pid", (), PRIVATE, "private", "no effect: each container has its own"),
    RunOption("uts", (), PRIVATE, "private", "no effect: each container has its own"),
)

RUN_OPTIONS = {option.name: option for option in _ALL}

ALIASES = {"net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
SHORTS = {option.short: option.name for option in _ALL if option.short}


_HOST = "it would open this host to the container"
_DEVICE = "limits of devices belong to this host; leave it out"
_PROXY = "dewy's proxy is the way in; write --port PROXY:CONTAINER before --"
_SHARED = "replicas cannot share it; leave it out"
_LOOSE = "replicas run in the background, without a terminal; leave it out"
_OTHERS = "a replica must not depend on a container that dewy does not keep"

REFUSED = {
    "privileged": _HOST,
    "cap-add": _HOST,
    "device": _HOST,
    "device-cgroup-rule": _HOST,
    "device-read-bps": _DEVICE,
    "device-read-iops": _DEVICE,
    "device-write-bps": _DEVICE,
    "device-write-iops": _DEVICE,
    "userns": _HOST,
    "use-api-socket": _HOST,
    "publish": _PROXY,
    "publish-all": _PROXY,
    "link": _OTHERS + "; give --network a network that both are in",
    "volumes-from": _OTHERS + "; give --volume the volume's name",
    "interactive": _LOOSE,
    "tty": _LOOSE,
    "attach": _LOOSE,
    "cidfile": "`dewy container list --json` shows the ids",
    "label-file": "its labels could override dewy's own; use --label",
    "ip": _SHARED,
    "ip6": _SHARED,
    "link-local-ip": _SHARED,
    "mac-address": _SHARED,
    "annotation": "dewy passes no annotations to the runtime; use --label",
    "isolation": "Linux has only one kind; leave it out",
    "volume-driver": "name it in --mount type=volume,volume-driver=…",
    "help": "`dewy container --help` shows the options that stand before --",
}

REFUSED_SHORTS = {
    "a": "attach",
    "i": "interactive",
    "p": "publish",
    "P": "publish-all",
    "t": "tty",
}

SHARED = frozenset({"bridge", "default"})
"""The engine's own networks, in which containers have no names."""

UNFIT_NETWORKS = {
    "host": "its replicas could not listen on the same port",
    "none": "the proxy could not reach it",
    "container": _OTHERS,
    "ns": _OTHERS,
    "private": "without --network replicas get a network of their own",
    "slirp4netns": "replicas need a network they share",
    "pasta": "replicas need a network they share",
}


def unfit(network: str) -> str | None:
    """Return why no replica can be in *network*; None if it can."""
    return UNFIT_NETWORKS.get(network.partition(":")[0].lower())
