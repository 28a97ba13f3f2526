"""Takes its socket as programs do that call sd_listen_fds_with_names(3)."""

import os
import socket

from serve import serve

FIRST = 3


def sd_listen_fds_with_names() -> list[tuple[str, int]]:
    """Name and descriptor of each socket, if they are meant for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ["LISTEN_FDS"])
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert count == len(names), "as many names as descriptors"
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        del os.environ[variable]
    for descriptor in range(FIRST, FIRST + count):
        os.set_inheritable(descriptor, False)
    return list(zip(names, range(FIRST, FIRST + count), strict=True))


if __name__ == "__main__":
    ((name, descriptor),) = sd_listen_fds_with_names()
    listener = socket.socket(fileno=descriptor)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert name == str(listener.getsockname()[1]), "told another name"
    serve(listener)
