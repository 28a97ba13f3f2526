"""The proxies that are compared, each with one thread and its best settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .processes import HOST, free_ports, program, running


@dataclass(frozen=True)
class Contestant:
    """A running proxy."""

    name: str
    port: int
    pid: int


Start = Callable[[Sequence[str], Path], AbstractContextManager[Contestant]]

# For 10,000 clients, within 20,000 descriptors. Without an option HAProxy copies,
# which costs it two to four times as much with large bodies.
HAPROXY = """\
global
    nbthread 1
    maxconn 9500
    maxpipes 64
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    option tcp-smart-accept
    option tcp-smart-connect
{splicing}
listen benchmark
    bind {host}:{port} backlog 4096
    balance roundrobin
{servers}
"""

NGINX = """\
load_module {module};
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19900; }}
stream {{
    upstream backends {{
{servers}
    }}
    server {{
        listen {host}:{port} backlog=4096;
        proxy_pass backends;
        proxy_connect_timeout 2s;
        proxy_timeout 1h;
    }}
}}
"""
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


FORCED = "    option splice-request\n    option splice-response"
AUTOMATIC = "    option splice-auto"

NEWER = "DEWY_BENCH_HAPROXY"
"""Environment variable with the path of another HAProxy to run beside Debian's."""


def haproxies() -> list[Start]:
    """
    Return HAProxy with either kind of splicing: the better one of a row is its mark.

    Each of the program Debian has, and of the one that `DEWY_BENCH_HAPROXY` names.
    """
    programs = {"haproxy": ""}
    if newer := os.environ.get(NEWER):
        programs["haproxy-newer"] = newer
    return [
        haproxy(f"{name}{suffix}", path, splicing)
        for name, path in programs.items()
        for suffix, splicing in (("", FORCED), ("-auto", AUTOMATIC))
    ]


def haproxy(name: str = "haproxy", path: str = "", splicing: str = FORCED) -> Start:
    """HAProxy in TCP mode; the program at *path* instead of the installed one."""
    return partial(_haproxy, name, path, splicing)


@contextmanager
def _haproxy(
    name: str, path: str, splicing: str, backends: Sequence[str], directory: Path
) -> Iterator[Contestant]:
    (port,) = free_ports(1)
    servers = "\n".join(
        f"    server backend-{number} {address}"
        for number, address in enumerate(backends)
    )
    configuration = directory / f"{name}.cfg"
    configuration.write_text(
        HAPROXY.format(host=HOST, port=port, servers=servers, splicing=splicing)
    )
    command = [path or program("haproxy"), "-db", "-f", str(configuration)]
    with running(command, port, directory / f"{name}.log") as pid:
        yield Contestant(name, port, pid)


@contextmanager
def nginx(backends: Sequence[str], directory: Path) -> Iterator[Contestant]:
    """nginx's stream module."""
    (port,) = free_ports(1)
    servers = "\n".join(f"        server {address};" for address in backends)
    configuration = directory / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            module=STREAM_MODULE,
            directory=directory,
            host=HOST,
            port=port,
            servers=servers,
        )
    )
    command = [program("nginx"), "-e", "stderr", "-c", str(configuration)]
    with running(command, port, directory / "nginx.log") as pid:
        yield Contestant("nginx", port, pid)


def dewy(
    name: str = "dewy",
    *,
    threads: int = 1,
    compiled: bool = True,
    loop: str = "",
    module: tuple[str, ...] = ("dewy",),
    options: tuple[str, ...] = (),
) -> Start:
    """
    `dewy proxy` with that many relay threads.

    *loop* is the event loop, if not the one it would take; *module* what Python runs,
    *options* what it is told besides.
    """

    @contextmanager
    def start(backends: Sequence[str], directory: Path) -> Iterator[Contestant]:
        (port,) = free_ports(1)
        command = [sys.executable, "-m", *module, "proxy", "--listen", f"{HOST}:{port}"]
        for address in backends:
            command += ["--backend", address]
        command += ["--proxy-threads", str(threads), *options]
        wanted = "REQUIRE" if compiled else "NO"
        environment = {f"DEWY_{wanted}_EXTENSIONS": "1", "DEWY_LOOP": loop}
        log = directory / f"{name.replace(' ', '-')}.log"
        with running(command, port, log, environment) as pid:
            yield Contestant(name, port, pid)

    return start
