"""
Programs for the supervisor to run: the demo's web server, and bad variants of it.

Each is a release directory's worth of files; `python current/program.py` runs it.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from dewy.demo.scenario import PROGRAM

COMMAND = (sys.executable, "-S", "current/program.py")

CRASHES = 'import sys\nprint("no database", file=sys.stderr)\nraise SystemExit(3)\n'
NEVER_READY = "import signal\nsignal.pause()\n"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("deaf", "w").close()
time.sleep(3600)
"""
SILENT = PROGRAM.read_text().replace("    say_ready()\n", "")
# Serves, and dies when a file called `die` appears beside `current`.
MORTAL = SILENT.replace(
    "    await asked_to_stop.wait()\n",
    "    while not asked_to_stop.is_set():\n"
    "        if Path('die').exists():\n"
    "            print('dying as told', flush=True)\n"
    "            os._exit(9)\n"
    "        await asyncio.sleep(0.01)\n",
)
# Closes its port for everybody when it is asked to stop, as WEBrick does, and
# then takes its time.
SHUTS_DOWN = SILENT.replace(
    "    await asked_to_stop.wait()\n",
    "    await asked_to_stop.wait()\n"
    "    server.listener.shutdown(2)\n"
    "    Path('shut').touch()\n"
    "    while not Path('leave').exists():\n"
    "        await asyncio.sleep(0.01)\n",
)
# Ends its accept loop for good when its port is closed under it, and lives on.
GIVES_UP = """
import os, select, signal, socket, threading
from pathlib import Path

version = Path(__file__).with_name("VERSION").read_text().encode()
_, _, descriptor = os.environ["SERVER_STARTER_PORT"].partition("=")
listener = socket.socket(fileno=int(descriptor))

def serve():
    while True:
        select.select([listener], [], [])
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        except OSError:
            return Path("deaf").touch()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + version)

threading.Thread(target=serve, daemon=True).start()
signal.pause()
"""
# Accepts nothing while a file called `pause` is beside `current`, and says so by
# another one, `paused`.
PAUSES = SILENT.replace(
    "    await asked_to_stop.wait()\n",
    "    while not asked_to_stop.is_set():\n"
    "        loop.remove_reader(server.listener)\n"
    "        if Path('pause').exists():\n"
    "            Path('paused').touch()\n"
    "        else:\n"
    "            loop.add_reader(server.listener, server.accept)\n"
    "        await asyncio.sleep(0.01)\n",
)
# Answers from a daemon in a session of its own, which hears of no SIGTERM; its
# first process stays or, asked to by the file `daemonize`, ends.
DETACHES = (
    PROGRAM.read_text()
    .replace("    say_ready()\n", "")
    .replace("signal.SIGTERM, asked_to_stop.set", "signal.SIGUSR1, asked_to_stop.set")
    .replace(
        'if __name__ == "__main__":\n',
        'if __name__ == "__main__":\n'
        "    if os.fork():\n"
        "        if not Path('daemonize').exists():\n"
        "            signal.pause()\n"
        "        os._exit(0)\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "    Path('detached').write_text(str(os.getpid()))\n",
    )
)
# Answers its health check well until a file called `sick` appears beside `current`.
SICKLY = PROGRAM.read_text().replace(
    'b"HTTP/1.1 200 OK',
    'b"HTTP/1.1 " + (b"503 Sick" if b"/up" in head and Path("sick").exists() '
    'else b"200 OK") + b"',
)
# Takes no connection while a file called `slow` is beside `current`.
SLOW = SILENT.replace(
    'if __name__ == "__main__":\n',
    'if __name__ == "__main__":\n'
    "    while Path('slow').exists():\n"
    "        time.sleep(0.01)\n",
).replace("import asyncio\n", "import asyncio\nimport time\n", 1)
UNHEALTHY = PROGRAM.read_text().replace(
    'b"HTTP/1.1 200 OK',
    'b"HTTP/1.1 " + (b"500 Bad" if b"/up" in head else b"200 OK") + b"',
)


def files(version: str, program: str | None = None) -> dict[str, str]:
    """The files of one release; *program* replaces the good one."""
    return {"program.py": program or PROGRAM.read_text(), "VERSION": version}


def unpacked(directory: Path, content: Mapping[str, str]) -> Path:
    """Write *content* into the new *directory*."""
    directory.mkdir(parents=True)
    for name, text in content.items():
        (directory / name).write_text(text)
    return directory


def tarball(content: Mapping[str, str]) -> bytes:
    """*content* as a gzipped tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def publish(
    registry: Path, version: str, artifact: bytes, name: str = "app.tar.gz"
) -> None:
    """Put *artifact* into a `file://` registry in one move, long settled."""
    draft = registry / f".{version}"
    draft.mkdir(parents=True)
    (draft / name).write_bytes(artifact)
    settled = time.time() - 60
    os.utime(draft / name, (settled, settled))
    draft.rename(registry / version)


async def answer(port: int, path: str) -> str:
    """The body of one answer on a new connection."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET %b HTTP/1.1\r\nConnection: close\r\n\r\n" % path.encode())
        answer = await reader.read()
        writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode().strip()
