"""What grpcio's core writes by itself, and which settings it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.needs import needs

pytestmark = needs("grpc")

FAILING = """
import asyncio, os, socket, sys
from dewy.remotes.grpc import endpoint, client
from dewy.errors import RemoteError
from dewy.remotes.grpc.registry_pb2 import CurrentRequest

async def main():
    # A port that is bound and not listened at, and one that speaks no TLS.
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    async def babble(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n")
        writer.close()
    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    for port in (closed.getsockname()[1], server.sockets[0].getsockname()[1]):
        where = endpoint.GRPCTarget(f"127.0.0.1:{port}")
        async with client.RegistryClient(where) as asked:
            try:
                await asked.current(CurrentRequest())
            except RemoteError as exc:
                print("refused")
    server.close()
    closed.close()

asyncio.run(main())
print(sorted(name for name in os.environ if name.startswith("GRPC_")))
"""


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: grpcio reads its settings once."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GRPC_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", FAILING],
        env={**clean, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_failures_are_told_by_us_alone() -> None:
    done = run()

    assert "" == done.stderr
    assert "refused\nrefused\n[]\n" == done.stdout


def test_settings_of_the_operator_stand() -> None:
    """Whoever looks for a fault gets grpcio's own log."""
    done = run(GRPC_VERBOSITY="DEBUG", GRPC_TRACE="http")

    assert "" != done.stderr
    assert done.stdout.endswith("['GRPC_TRACE', 'GRPC_VERBOSITY']\n")


def test_grpc_import_in_thread_emits_no_warnings() -> None:
    """Which has no event loop that grpcio could take."""
    code = (
        "import asyncio, importlib\n"
        "name = 'dewy.registries.grpc'\n"
        "asyncio.run(asyncio.to_thread(importlib.import_module, name))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (0, "") == (done.returncode, done.stderr)
