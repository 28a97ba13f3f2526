"""What stands behind the proxies: one nginx that serves every body on every port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .processes import HOST, program, running
from .workloads import BODIES, KIB

CONFIGURATION = """\
daemon off;
pid {directory}/backends.pid;
error_log stderr warn;
worker_processes 2;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    client_body_temp_path {directory}/temporary;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/temporary;
    uwsgi_temp_path {directory}/temporary;
    scgi_temp_path {directory}/temporary;
    server {{
{listeners}
        root {directory}/bodies;
        location = /11 {{ return 200 "hello world"; }}
    }}
}}
"""


def write_bodies(directory: Path) -> None:
    """Write a file for each size that is asked for; zeros do."""
    directory.mkdir()
    for size in BODIES:
        if size >= KIB:
            with (directory / str(size)).open("wb") as body:
                body.write(bytes(size))


@contextmanager
def backends(
    ports: Sequence[int], directory: Path, descriptors: int
) -> Iterator[list[str]]:
    """Serve on *ports* and yield the addresses."""
    write_bodies(directory / "bodies")
    listeners = "\n".join(
        f"        listen {HOST}:{port} backlog=4096;" for port in ports
    )
    configuration = directory / "backends.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory, descriptors=descriptors, listeners=listeners
        )
    )
    command = [program("nginx"), "-e", "stderr", "-c", str(configuration)]
    with running(command, ports[0], directory / "backends.log"):
        yield [f"{HOST}:{port}" for port in ports]
