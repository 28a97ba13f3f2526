"""
Takes its socket as Go programs do that use the listener package of Server::Starter.

Ports are told from hosts by the same expressions, a missing variable is an error,
and the descriptor is used without a look at what it is.
"""

import os
import re
import socket

from serve import serve

HOST_PORT = re.compile(r"^(.+?):(\d+)$")
PORT = re.compile(r"^\d+$")


def targets(specification: str) -> list[tuple[str, int, int]]:
    """Host, port and descriptor of each socket; the port of a path is 0."""
    if not specification:
        raise SystemExit("no listening target")
    found = []
    for pair in specification.split(";"):
        name, descriptor = (part.strip() for part in pair.split("="))
        if not re.fullmatch(r"[0-9]+", descriptor):
            raise SystemExit(f"failed to parse {pair!r} as listen target")
        host_port = HOST_PORT.match(name)
        if host_port:
            found.append((host_port[1], int(host_port[2]), int(descriptor)))
        elif PORT.match(name):
            found.append(("0.0.0.0", int(name), int(descriptor)))
        else:
            found.append((name, 0, int(descriptor)))
    return found


if __name__ == "__main__":
    ((host, port, descriptor),) = targets(os.environ["SERVER_STARTER_PORT"])
    listener = socket.socket(fileno=descriptor)
    assert (host, port) == listener.getsockname(), "told another address"
    serve(listener)
