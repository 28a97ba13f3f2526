"""The control socket of a running dewy."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import control
from dewy.admin.client import ask
from dewy.admin.control import ControlServer
from dewy.errors import DewyError
from tests.standins.small_disks import fill, mounted


async def handle(verb: str, args: dict[str, Any], *_: object) -> dict[str, Any]:
    """Answers `echo`; `refuse`, `fail` and `crash` end as their names say."""
    if verb == "refuse":
        raise DewyError("it is not\nto be")
    if verb == "fail":
        raise OSError(28, "No space left on device")
    if verb == "crash":
        raise ZeroDivisionError("secret of the inside")
    return {"verb": verb, **args}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def modes(directory: Path) -> dict[str, int]:
    """Everything in *directory*, and who may use it."""
    return {p.name: p.stat().st_mode & 0o777 for p in directory.iterdir()}


async def talk(path: Path, *requests: bytes) -> list[dict[str, Any]]:
    """Send *requests* at once and return every answer until the server is done."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        async with asyncio.timeout(30):
            for request in requests:
                writer.write(request)
            writer.write_eof()
            return [json.loads(line) async for line in reader]
    finally:
        writer.close()


async def test_each_line_is_answered(path: Path) -> None:
    """In order, on one connection."""
    async with ControlServer(path, handle):
        answers = await talk(path, b'{"verb": "a", "n": 1}\n', b'{"verb": "b"}\n')

    assert [
        {"ok": True, "verb": "a", "n": 1},
        {"ok": True, "verb": "b"},
    ] == answers


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("refuse", "it is not to be"),
        ("fail", "No space left on device"),
        ("crash", "ZeroDivisionError"),
    ],
)
async def test_failure_is_an_answer(
    path: Path, verb: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and the server lives on; only what nobody expected is logged."""
    async with ControlServer(path, handle):
        request = json.dumps({"verb": verb}).encode() + b"\n"
        refused, answered = await talk(path, request, b'{"verb": "x"}\n')

    assert not refused["ok"]
    assert error in refused["error"]
    assert "\n" not in refused["error"]
    assert answered["ok"]
    logged = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert (verb == "crash") == bool(logged)


@pytest.mark.parametrize(
    "line", [b"\n", b"rubbish\n", b"[]\n", b"{}\n", b'{"verb": 1}\n', b"\xff\n"]
)
async def test_malformed_request_is_refused_and_next_is_served(
    path: Path, line: bytes
) -> None:
    """And the next one is served."""
    async with ControlServer(path, handle):
        answers = await talk(path, line, b'{"verb": "x"}\n')

    assert [False, True] == [answer["ok"] for answer in answers]


async def test_unfinished_line_is_no_request(path: Path) -> None:
    """A client that died in the middle of `deploy` did not say it."""
    async with ControlServer(path, handle):
        assert [] == await talk(path, b'{"verb": "deploy"}')


async def test_line_has_a_limit(path: Path) -> None:
    """Nobody fills dewy's memory through its socket."""
    async with ControlServer(path, handle):
        request = b'{"verb": "' + b"x" * control.LONGEST_LINE + b'"}\n'
        (answer,) = await talk(path, request)
        assert "65536 bytes" in answer["error"]
        assert [True] == [a["ok"] for a in await talk(path, b'{"verb": "x"}\n')]


async def test_slow_client_is_let_go(path: Path) -> None:
    """Without an answer, and without taking a place for ever."""
    async with ControlServer(path, handle, patience=0.05):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"verb"')
        async with asyncio.timeout(30):
            assert b"" == await reader.read()
        writer.close()


async def test_number_of_clients_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told so; when one has its answer there is room again."""
    monkeypatch.setattr(control, "MOST_CLIENTS", 1)
    asked, over = asyncio.Event(), asyncio.Event()

    async def slow(verb: str, args: object, progress: object) -> dict[str, Any]:
        asked.set()
        await over.wait()
        return {}

    async with ControlServer(path, slow):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"verb": "x"}\n')
        await asked.wait()
        (answer,) = await talk(path)
        assert "too many clients" in answer["error"]
        over.set()
        assert json.loads(await reader.readline())["ok"]
        assert (await talk(path, b'{"verb": "x"}\n'))[0]["ok"]
        writer.close()


async def test_client_that_asks_nothing_makes_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first; half a request is none."""
    monkeypatch.setattr(control, "MOST_CLIENTS", 2)
    async with ControlServer(path, handle):
        silent = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
        for _, writer in silent:
            writer.write(b'{"verb":')
        assert (await talk(path, b'{"verb": "x"}\n'))[0]["ok"]
        assert b"" == await silent[0][0].read()
        silent[1][1].write(b' "x"}\n')
        assert json.loads(await silent[1][0].readline())["ok"]
        for _, writer in silent:
            writer.close()


async def test_socket_is_for_its_owner_only(path: Path) -> None:
    """Whatever the umask; changing anything goes through here."""
    before = os.umask(0)
    try:
        async with ControlServer(path, handle):
            assert {"admin.sock": 0o600} == modes(path.parent)
    finally:
        os.umask(before)


async def test_stale_socket_is_replaced(path: Path) -> None:
    """A killed dewy leaves one behind."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with ControlServer(path, handle):
        assert (await talk(path, b'{"verb": "x"}\n'))[0]["ok"]
    assert {} == modes(path.parent)


async def test_successor_keeps_its_socket(path: Path) -> None:
    """What the next dewy put in its place is not ours to remove."""
    async with ControlServer(path, handle):
        successor = ControlServer(path, handle)
        await successor.__aenter__()
    try:
        assert (await talk(path, b'{"verb": "x"}\n'))[0]["ok"]
    finally:
        await successor.__aexit__()
    assert {} == modes(path.parent)


async def test_stopping_server_answers_pending_request(path: Path) -> None:
    """`dewy deploy` hears how it went, though dewy is stopping."""
    started, done = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> dict[str, Any]:
        started.set()
        await done.wait()
        return {"late": True}

    server = ControlServer(path, slow, grace=60)
    async with server:
        answering = asyncio.create_task(talk(path, b'{"verb": "deploy"}\n'))
        await started.wait()
        asyncio.get_running_loop().call_soon(done.set)
    assert [{"ok": True, "late": True}] == await answering


async def test_leaving_does_not_wait_for_ever(path: Path) -> None:
    """Neither for a request that hangs, nor for a client that says nothing."""
    started = asyncio.Event()

    async def hangs(*_: object) -> dict[str, Any]:
        started.set()
        await asyncio.Event().wait()
        return {}

    async with asyncio.timeout(30):
        async with ControlServer(path, hangs, grace=0.01):
            _, idle = await asyncio.open_unix_connection(str(path))
            asking = asyncio.create_task(talk(path, b'{"verb": "x"}\n'))
            await started.wait()
        assert [] == await asking
    idle.close()


async def test_leaving_lets_connected_clients_go_without_a_word(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ControlServer(path, handle):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"verb": "x"}\n')
        assert json.loads(await reader.readline())["ok"]
    async with asyncio.timeout(30):
        assert b"" == await reader.read()
    writer.close()

    assert [] == caplog.messages


async def test_leaving_twice_is_no_error(path: Path) -> None:
    """Nor is leaving what never started."""
    server = ControlServer(path, handle)
    await server.__aexit__()
    async with server:
        pass
    await server.__aexit__()


async def test_long_path_works(tmp_path: Path) -> None:
    """Roots are deep on some hosts; socket addresses are short."""
    deep = tmp_path / ("d" * 120)
    os.mkdir(deep)
    async with ControlServer(deep / "admin.sock", handle):
        assert {"admin.sock": 0o600} == modes(deep)
    assert {} == modes(deep)


async def test_directory_in_the_way_is_told(path: Path) -> None:
    """And nothing is left beside it."""
    os.mkdir(path, 0o700)
    with pytest.raises(OSError, match="directory"):
        await ControlServer(path, handle).__aenter__()
    assert {"admin.sock": 0o700} == modes(path.parent)


async def test_steps_come_before_the_answer(path: Path) -> None:
    async def steps(verb: str, args: dict[str, Any], step: Any) -> dict[str, Any]:
        step("cancelling")
        step("starting v1")
        return {"message": "done"}

    said: list[str] = []
    async with ControlServer(path, steps):
        answer = await ask(path.parent, "rollback", progress=said.append)

    assert (["cancelling", "starting v1"], "done") == (said, answer["message"])


async def test_request_ends_when_its_streaming_client_leaves(path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs(*_: object) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    async with ControlServer(path, hangs):
        asking = asyncio.create_task(
            ask(path.parent, "rollback", progress=lambda text: None)
        )
        await begun.wait()
        asking.cancel()
        await ended.wait()


async def test_request_without_steps_outlives_its_client(path: Path) -> None:
    """A client that closes its writing end still reads, as `nc -N` does."""
    async with ControlServer(path, handle):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"verb": "status"}\n')
        writer.write_eof()
        assert b'"ok": true' in await reader.readline()
        writer.close()


async def test_socket_of_killed_dewy_makes_room_on_full_disk(tmp_path: Path) -> None:
    """Its inode may be the only one there is."""
    with mounted(tmp_path / "disk", "inodes") as directory:
        path = directory / "admin.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        fill(directory, "inodes")
        async with ControlServer(path, handle):
            assert [{"ok": True, "verb": "a"}] == await talk(path, b'{"verb": "a"}\n')
