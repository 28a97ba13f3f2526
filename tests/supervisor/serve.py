"""
A server on an inherited listening socket, which may be shared with others.

    python serve.py FD STATUS-LINE HOW

It says `up` when it accepts. HOW is `plain` (one connection at a time), `busy`
(16 threads), `prefork` (only children accept), `hasty` (answers the first bytes
it gets), `strict` (answers nothing but the right request), `silent` (accepts and
never answers), `closes` (accepts and closes), `idle` or `late` (accepts when told
to by a line on standard input).
"""

from __future__ import annotations

import os
import socket
import sys
import threading

fd, answer, how = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]
listener = socket.socket(fileno=fd)


def serve(connection: socket.socket) -> None:
    """Answer one request, or not."""
    head = b""
    while how != "closes" and b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        head += more
        if not more or how == "hasty":
            break
    if how == "silent":
        threading.Event().wait()
    if how != "closes" and (how != "strict" or right(head)):
        connection.sendall(answer + b"\r\nContent-Length: 2\r\n\r\nok")


def right(head: bytes) -> bool:
    """Whether the request is complete and names path and host."""
    return (
        head.startswith(b"GET /up?deep=1 HTTP/1.1\r\n")
        and b"\r\nHost: localhost\r\n" in head
        and b"\r\nConnection: close\r\n" in head
        and head.endswith(b"\r\n\r\n")
    )


def accept() -> None:
    """Serve for ever."""
    while True:
        connection, _ = listener.accept()
        with connection:
            serve(connection)


def say_up() -> None:
    """Tell whoever started us."""
    os.write(1, b"up\n")


if how in ("idle", "late"):
    say_up()
    sys.stdin.readline()
if how == "prefork":
    for _ in range(3):
        if os.fork() == 0:
            accept()
if how == "busy":
    for _ in range(15):
        threading.Thread(target=accept, daemon=True).start()
say_up()
if how == "prefork":
    sys.stdin.read()
accept()
