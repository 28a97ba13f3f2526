"""What is removed from the root of a running dewy comes back."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.admin.client import ask
from dewy.admin.control import ControlServer
from dewy.daemon.inspection import RootGuard
from dewy.deploy.lock import UNREACHABLE, Holder, holder, lock
from dewy.deploy.state import Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.errors import RootBusy

V1 = Installed("v1", "a", "20310203T040506Z", 1.0)


async def handle(verb: str, *_: object) -> dict[str, object]:
    return {"verb": verb}


def everything(private: Path) -> None:
    shutil.rmtree(private)


def all_but_directory(private: Path) -> None:
    for path in private.iterdir():
        path.unlink()
    private.chmod(0o755)


def replaced_by_open_one(private: Path) -> None:
    shutil.rmtree(private)
    (private / "cache").mkdir(parents=True)
    private.chmod(0o755)


@pytest.mark.parametrize(
    "remove", [everything, all_but_directory, replaced_by_open_one]
)
async def test_removed_root_comes_back_locked_private_and_listening(
    tmp_path: Path,
    remove: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    private = tmp_path / ".dewy"
    with ExitStack() as stack:
        held = await asyncio.to_thread(stack.enter_context, lock(private))
        state_store = StateStore(StateFile(private), State())
        state = await state_store.change(lambda state: replace(state, running=V1))
        async with ControlServer(private / "admin.sock", handle) as control:
            guard = RootGuard(held, state_store, control)
            await guard.restore()
            assert [] == caplog.records
            await asyncio.to_thread(remove, private)
            await guard.restore()

            assert 0o700 == private.stat().st_mode & 0o777
            assert state == await asyncio.to_thread(StateFile(private).read)
            assert "status" == (await ask(private, "status", 20))["verb"]
            with pytest.raises(RootBusy), ExitStack() as second:
                await asyncio.to_thread(second.enter_context, lock(private))
            assert [logging.WARNING] == [each.levelno for each in caplog.records]
            await guard.restore()
            assert 1 == len(caplog.records)


def silent(directory: Path) -> ControlServer:
    """Return a server that cannot listen."""
    return ControlServer(directory / "missing" / "admin.sock", handle)


async def test_control_socket_that_could_not_be_opened_is_opened_later(
    tmp_path: Path,
) -> None:
    """No command reached a dewy that had started on a read-only file system."""
    private, place = tmp_path / ".dewy", tmp_path / "missing"
    with ExitStack() as stack:
        held = await asyncio.to_thread(stack.enter_context, lock(private))
        await asyncio.to_thread(held.tell, UNREACHABLE)
        state_store = StateStore(StateFile(private), State())
        control = silent(tmp_path)
        guard = RootGuard(held, state_store, control)
        await guard.restore()
        assert not control.listens
        await asyncio.to_thread(place.mkdir)
        await guard.restore()
        try:
            assert "status" == (await ask(place, "status", 20))["verb"]
            assert Holder(os.getpid(), "") == await asyncio.to_thread(holder, private)
        finally:
            await control.__aexit__()


async def test_root_taken_by_another_dewy_is_refused(tmp_path: Path) -> None:
    """Then there are two; the later one has the root."""
    private = tmp_path / ".dewy"
    with ExitStack() as stack:
        held = await asyncio.to_thread(stack.enter_context, lock(private))
        state_store = StateStore(StateFile(private), State())
        await asyncio.to_thread(shutil.rmtree, private)
        await asyncio.to_thread(stack.enter_context, lock(private))

        with pytest.raises(RootBusy):
            await RootGuard(held, state_store, silent(private)).restore()


async def test_state_written_by_somebody_else_is_written_over(tmp_path: Path) -> None:
    """Who keeps the root knows what runs."""
    with ExitStack() as stack:
        held = await asyncio.to_thread(stack.enter_context, lock(tmp_path / ".dewy"))
        file = StateFile(tmp_path / ".dewy")
        state_store = StateStore(file, State())
        await state_store.change(lambda state: replace(state, running=V1))
        await asyncio.to_thread(file.path.write_text, "{}")
        await RootGuard(held, state_store, silent(tmp_path)).restore()

        assert state_store.state == await asyncio.to_thread(file.read)
