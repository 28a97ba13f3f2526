"""Ports, and who has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.checks.endpoints import port_findings
from dewy.checks.finding import Finding, Level
from dewy.config import Address, Endpoint, PortMapping, Settings

LISTEN = (
    "import socket, sys; s = socket.create_server(('', 0));"
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def settings(root: Path, port: int, command: str = "server") -> Settings:
    given: dict[str, Any] = (
        {"port_mappings": (PortMapping(port, 80),)}
        if command == "container"
        else {"ports": (Address(str(port), "0.0.0.0", port),)}
    )
    return Settings(command=command, root=root, cache_dir=root, admin_port=0, **given)


@contextmanager
def listening(cwd: Path) -> Iterator[tuple[int, int]]:
    """Pid and port of a process that works in *cwd*."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


async def judged(settings: Settings, running: int = 0) -> Finding:
    (found,) = [each async for each in port_findings(settings, running)]
    return found


@pytest.mark.parametrize("command", ["server", "container"])
async def test_free_port_is_free_afterwards(
    tmp_path: Path, unused_tcp_port: int, command: str
) -> None:
    """Dewy binds it for a moment only."""
    found = await judged(settings(tmp_path, unused_tcp_port, command))

    assert Level.OK is found.level
    with socket.create_server(("", unused_tcp_port)):
        pass


@pytest.mark.parametrize("command", ["server", "container"])
async def test_port_of_another_program_is_a_failure(
    tmp_path: Path, command: str
) -> None:
    """Named with its holder."""
    with listening(Path("/")) as (pid, port):
        found = await judged(settings(tmp_path, port, command))

    assert Level.FAILURE is found.level
    assert str(port) in found.text
    assert found.text.startswith(f"--port {port} is in use by ")
    assert f"(pid {pid})" in found.text


async def test_port_of_the_dewy_that_runs_here_is_fine(tmp_path: Path) -> None:
    """Or of its program."""
    with listening(Path("/")) as (_, port):
        found = await judged(settings(tmp_path, port), running=os.getpid())

    assert Level.OK is found.level
    assert f"(pid {os.getpid()})" in found.text


async def test_program_the_original_left_behind_is_foretold(tmp_path: Path) -> None:
    """The command ends it in order."""
    with listening(tmp_path) as (pid, port):
        found = await judged(settings(tmp_path, port))

    assert Level.ATTENTION is found.level
    assert f"(pid {pid}), which runs in this root" in found.text
    assert "ends it" in found.advice


async def test_port_taken_at_another_address_is_free(tmp_path: Path) -> None:
    """A TLS proxy in front has the public one."""
    with socket.create_server(("127.0.0.1", 0)) as front:
        port = front.getsockname()[1]
        mappings = (PortMapping(port, 80, "127.0.0.2"),)
        given = replace(settings(tmp_path, port, "container"), port_mappings=mappings)
        found = await judged(given)

    assert (Level.OK, f"127.0.0.2:{port} is free") == (found.level, found.text)


async def test_listeners_of_proxy_are_looked_at(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """Those at TCP ports; a Unix socket would leave its file."""
    file = tmp_path / "proxy.sock"
    given = Settings(
        command="proxy",
        root=tmp_path,
        cache_dir=tmp_path,
        listen=(Endpoint("127.0.0.1", unused_tcp_port), Endpoint(path=str(file))),
    )

    free = await judged(given)
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        taken = await judged(given)

    assert (Level.OK, f"127.0.0.1:{unused_tcp_port} is free") == (free.level, free.text)
    assert Level.FAILURE is taken.level
    assert not file.exists()


@pytest.mark.parametrize(
    ("command", "chosen", "level"),
    [
        ("server", True, Level.FAILURE),
        ("container", False, Level.ATTENTION),
        ("proxy", True, Level.FAILURE),
        ("proxy", False, None),
    ],
)
async def test_ports_of_the_http_api_all_taken_are_foretold(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
    command: str,
    chosen: bool,
    level: Level | None,
) -> None:
    """As the command says it; fatal only where somebody asked for the port."""
    monkeypatch.setattr("dewy.admin.http.PORTS_TRIED", 1)
    given = Settings(
        command=command,
        root=tmp_path,
        cache_dir=tmp_path,
        admin_port=unused_tcp_port,
        admin_port_chosen=chosen,
    )
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        found = [each async for each in port_findings(given, 0)]
        beside = [each async for each in port_findings(given, os.getpid())]
    assert ([] if level is None else [level]) == [each.level for each in found]
    assert all("the admin API found no free port" in each.text for each in found)
    assert [] == beside
