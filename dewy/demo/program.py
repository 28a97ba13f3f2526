"""
The program that the demo deploys: a web server in one file, of the standard library.

It shows all that dewy asks of a program: take the listening socket that is
already open, say when ready, and on SIGTERM stop accepting, finish, end.
"""

import asyncio
import os
import signal
import socket
from pathlib import Path

VERSION = Path(__file__).with_name("VERSION").read_text().strip()


class Server:
    """Server that answers every request with the version, and closes when draining."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.draining = False
        self.open: set[asyncio.Task[None]] = set()

    def accept(self) -> None:
        """
        Take one connection, and count it as open at once.

        asyncio's own servers count it a moment later; a connection accepted just before
        the end would be lost in between.
        """
        try:
            connection, _ = self.listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another generation took it, or the client went away
        task = asyncio.create_task(self.serve(connection))
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    async def serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        last = self.draining or b"connection: close" in head.lower()
        body = f"{VERSION}\n".encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
            % (len(body), b"close" if last else b"keep-alive", body)
        )
        await writer.drain()
        return not last

    async def drain(self) -> None:
        """Accept nothing more, and close each connection after its next answer."""
        asyncio.get_running_loop().remove_reader(self.listener)
        self.draining = True
        while self.open:
            await asyncio.wait(self.open)


def inherited() -> socket.socket:
    """Return the listening socket: the first one in the environment."""
    _, _, descriptor = os.environ["SERVER_STARTER_PORT"].partition("=")
    return socket.socket(fileno=int(descriptor.partition(";")[0]))


def say_ready() -> None:
    """Notify the service manager of readiness by systemd's protocol."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", address.replace("@", "\0", 1))


async def main() -> None:
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, asked_to_stop.set)
    server = Server(inherited())
    server.listener.setblocking(False)
    loop.add_reader(server.listener, server.accept)
    say_ready()
    await asked_to_stop.wait()
    await server.drain()


if __name__ == "__main__":
    asyncio.run(main())
