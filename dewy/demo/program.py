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
    """Answers every request with the version, and says goodbye when draining."""

    def __init__(self) -> None:
        self.draining = False
        self.open: set[asyncio.Task[None]] = set()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(task)
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


def inherited() -> socket.socket:
    """The listening socket: the first one that the environment tells of."""
    _, _, descriptor = os.environ["SERVER_STARTER_PORT"].partition("=")
    return socket.socket(fileno=int(descriptor.partition(";")[0]))


def say_ready() -> None:
    """Tell whoever started us, as systemd's protocol has it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", address.replace("@", "\0", 1))


async def main() -> None:
    server = Server()
    asked_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_stop.set)
    listener = await asyncio.start_server(server.serve, sock=inherited())
    say_ready()
    await asked_to_stop.wait()
    server.draining = True
    listener.close()
    await asyncio.sleep(0.1)  # what was accepted just now is still on its way to `serve`
    while server.open:
        await asyncio.wait(server.open)


if __name__ == "__main__":
    asyncio.run(main())
