"""A web server of threads on a socket that somebody else opened."""

import os
import selectors
import signal
import socket
import threading
from pathlib import Path
from typing import BinaryIO

VERSION = Path(__file__).with_name("VERSION").read_text().strip()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b"

stopping = threading.Event()


def serve(listener: socket.socket) -> None:
    """Accept until SIGTERM; the process ends with the last connection."""
    waking, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while not stopping.is_set():
            selector.select()
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue  # another process took it
            connection.setblocking(True)
            threading.Thread(target=answer, args=[connection]).start()


def read_head(requests: BinaryIO) -> list[bytes]:
    """The lines of one request, in lower case; none if there is no more."""
    lines: list[bytes] = []
    for line in requests:
        if line == b"\r\n":
            return lines
        lines.append(line.lower())
    return []


def answer(connection: socket.socket) -> None:
    """Answer every request of a connection; the last one when stopping."""
    with connection, connection.makefile("rb") as requests:
        last = False
        while not last:
            head = read_head(requests)
            if not head:
                return
            last = stopping.is_set() or b"connection: close\r\n" in head
            body = f"{VERSION}\n".encode()
            kept = b"close" if last else b"keep-alive"
            connection.sendall(ANSWER % (len(body), kept, body))
