"""An image of this host's own nginx, with the libraries it needs and nothing else."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile

from tests.standins.images import Program, digest

from .processes import program

CONFIGURATION = """\
daemon off;
pid /nginx.pid;
error_log stderr warn;
user root;
worker_processes 1;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    server {
        listen 8080 backlog=4096;
        location = /11 { return 200 "hello world"; }
        location / { return 200 "ok"; }
    }
}
"""
DIRECTORIES = ("tmp", "var", "var/lib", "var/lib/nginx", "var/log", "var/log/nginx")


def nginx_image() -> Program:
    """What `Publisher.publish` pushes; raises RuntimeError where nginx is missing."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        for path in DIRECTORIES:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        _add(tar, "nginx.conf", CONFIGURATION.encode())
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/nologin\n")
        _add(tar, "etc/group", b"root:x:0:\n")
        binary = program("nginx")
        tar.add(binary, "nginx")
        for library in _libraries(binary):
            tar.add(library, library.lstrip("/"))
    content = packed.getvalue()
    command = ("/nginx", "-e", "stderr", "-c", "/nginx.conf")
    return Program(gzip.compress(content, 1, mtime=0), digest(content), command)


def _libraries(binary: str) -> list[str]:
    done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True)
    return re.findall(r"(/\S+)(?: \(0x)", done.stdout)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
