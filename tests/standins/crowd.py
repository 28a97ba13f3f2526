"""
Many clients, or the backend of many, in a process of its own.

    python crowd.py serve           prints its port; answers each byte with itself
    python crowd.py hold PORT N     opens N clients, prints when all got an answer;
                                    then asks again on each for every line of stdin
    python crowd.py storm PORT      connects and leaves, until stdin ends
    python crowd.py pace PORT N     one client asks N times; prints the times in order
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys
import time

HOST = "127.0.0.1"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def serve() -> None:
    listener = socket.create_server((HOST, 0), backlog=4096)
    say(listener.getsockname()[1])
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    socks = {}
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                socks[sock.fileno()] = sock
                poller.register(sock, select.EPOLLIN)
            else:
                answer(socks, fd)


def answer(socks: dict[int, socket.socket], fd: int) -> None:
    with contextlib.suppress(ConnectionError):
        if data := socks[fd].recv(65536):
            return socks[fd].sendall(data)
    socks.pop(fd).close()


def hold(port: int, count: int) -> None:
    clients = [socket.create_connection((HOST, port), 60) for _ in range(count)]
    say(ask(clients))
    for _ in sys.stdin:
        say(ask(clients))


def ask(clients: list[socket.socket]) -> int:
    for client in clients:
        client.sendall(b"?")
    return sum(client.recv(1) == b"?" for client in clients)


def storm(port: int) -> None:
    while not select.select([sys.stdin], [], [], 0)[0]:
        with contextlib.suppress(ConnectionError):
            socket.create_connection((HOST, port), 60).close()


def pace(port: int, count: int) -> None:
    client = socket.create_connection((HOST, port), 60)
    times = []
    for _ in range(count):
        began = time.monotonic()
        client.sendall(b"?")
        client.recv(1)
        times.append(time.monotonic() - began)
    say(*sorted(times))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command, *numbers = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        globals()[command](*map(int, numbers))
