"""Asking a running dewy."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import client
from dewy.admin.client import NotAnswering, NotRunning, ask
from dewy.admin.control import ControlServer
from dewy.deploy.lock import STARTING, STOPPING, UNREACHABLE
from dewy.errors import DewyError
from tests.eventually import turns
from tests.standins.roots import locked


async def handle(verb: str, args: dict[str, Any], *_: object) -> dict[str, Any]:
    """Gives back what it was asked; `refuse` is refused."""
    if verb == "refuse":
        raise DewyError("not now")
    return {"verb": verb, "args": args}


async def test_answer_comes_back(tmp_path: Path) -> None:
    """With whatever was sent along."""
    async with ControlServer(tmp_path / "admin.sock", handle):
        answer = await ask(tmp_path, "deploy", version="v1")

    assert {"ok": True, "verb": "deploy", "args": {"version": "v1"}} == answer


async def test_refusal_is_an_error(tmp_path: Path) -> None:
    """In dewy's own words."""
    async with ControlServer(tmp_path / "admin.sock", handle):
        with pytest.raises(DewyError, match=r"^not now$"):
            await ask(tmp_path, "refuse")


async def test_no_dewy_is_told_apart(tmp_path: Path) -> None:
    """No directory, no socket, or one that a killed dewy left."""
    with pytest.raises(NotRunning):
        await ask(tmp_path / "none", "status")
    with pytest.raises(NotRunning):
        await ask(tmp_path, "status")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "admin.sock"))
    with pytest.raises(NotRunning, match=f"no dewy runs in {tmp_path.parent}"):
        await ask(tmp_path, "status")


async def test_long_path_works(tmp_path: Path) -> None:
    """Both ends reach it through the directory."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with pytest.raises(NotRunning):
        await ask(deep, "status")
    async with ControlServer(deep / "admin.sock", handle):
        assert (await ask(deep, "status"))["ok"]


async def test_dewy_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """A command line never hangs."""

    async def hangs(*_: object) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async with ControlServer(tmp_path / "admin.sock", hangs, grace=0.0):
        with pytest.raises(DewyError, match=r"did not answer within 0\.05 s"):
            await ask(tmp_path, "status", 0.05)


@pytest.mark.parametrize("line", [b"", b"rubbish\n", b"[]\n", b"{}\n"])
async def test_rubbish_is_told(tmp_path: Path, line: bytes) -> None:
    """Whatever listens there, no traceback comes of it."""

    async def rubbish(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readline()
        writer.write(line)
        writer.close()

    path = tmp_path / "admin.sock"
    async with await asyncio.start_unix_server(rubbish, str(path)):
        with pytest.raises(DewyError) as caught:
            await ask(tmp_path, "status")
    assert not isinstance(caught.value, NotRunning)


async def test_dewy_that_ends_a_connection_unanswered_is_not_taken_for_gone(
    tmp_path: Path,
) -> None:
    """As one without a descriptor left does."""

    async def close(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async def told() -> str:
        with pytest.raises(DewyError) as caught:
            await ask(tmp_path, "status")
        return str(caught.value)

    async with await asyncio.start_unix_server(close, str(tmp_path / "admin.sock")):
        assert "dewy left before it answered" == await told()
        async with locked(tmp_path):
            ended = f"dewy with pid {os.getpid()} in {tmp_path.parent} ended"
            assert (await told()).startswith(ended)
        async with locked(tmp_path, STOPPING):
            assert "dewy left before it answered" == await told()


async def test_dewy_of_another_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saying that none runs would invite to start a second."""

    async def closed(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", closed)
    with pytest.raises(DewyError, match="belongs to another user"):
        await ask(tmp_path, "status")


async def test_large_answer_comes_whole(tmp_path: Path) -> None:
    """A status may hold many reasons."""

    async def large(*_: object) -> dict[str, Any]:
        return {"text": "x" * 1_000_000}

    async with ControlServer(tmp_path / "admin.sock", large):
        assert 1_000_000 == len((await ask(tmp_path, "status"))["text"])


async def test_dewy_that_is_starting_is_waited_for(tmp_path: Path) -> None:
    async with locked(tmp_path, STARTING):
        asking = asyncio.create_task(ask(tmp_path, "deploy"))
        await turns()
        async with ControlServer(tmp_path / "admin.sock", handle):
            assert (await asking)["ok"]


async def test_end_of_dewy_that_is_stopping_is_waited_for(tmp_path: Path) -> None:
    async with locked(tmp_path, STOPPING):
        asking = asyncio.create_task(ask(tmp_path, "deploy"))
        await turns()
    with pytest.raises(NotRunning, match="no dewy runs in"):
        await asking


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (STARTING, "is starting; try again$"),
        (STOPPING, "is stopping; try again once it has ended$"),
        (UNREACHABLE, "answers no command; its log says why$"),
    ],
)
async def test_dewy_that_does_not_answer_in_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, told: str
) -> None:
    monkeypatch.setattr(client, "MOMENT", 0.1)
    async with locked(tmp_path, phase):
        with pytest.raises(NotAnswering, match=f"pid {os.getpid()} in .*{told}"):
            await ask(tmp_path, "deploy")
