"""The state in memory and on disk."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.state import State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.system import Clock


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path)


@pytest.fixture
def state_store(file: StateFile) -> StateStore:
    return StateStore(file, State())


def held(state: State) -> State:
    return replace(state, hold=True)


def forbid(file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(state: State) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "write", refuse)


async def test_completed_state_change_is_on_disk(
    state_store: StateStore, file: StateFile
):
    assert (await state_store.change(held)).hold

    assert state_store.state == await asyncio.to_thread(file.read)


async def test_a_change_that_cannot_be_written_did_not_happen(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)

    with pytest.raises(OSError, match="No space"):
        await state_store.change(held)

    assert State() == state_store.state


async def test_quarantine_on_unwritable_disk_is_kept_in_memory(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)
    await state_store.condemn("v2", "b", "disk full", Clock(), traffic=False)
    monkeypatch.undo()

    assert state_store.state.quarantine.find("v2", "b")
    await state_store.change(held)
    assert state_store.state == await asyncio.to_thread(file.read)


async def test_changes_at_once_all_count(state_store: StateStore):
    def add(number: int) -> object:
        return state_store.change(
            lambda state: replace(state, wanted=f"{state.wanted}{number}")
        )

    await asyncio.gather(*(add(number) for number in range(10)))

    assert sorted("0123456789") == sorted(state_store.state.wanted)


async def test_a_failed_version_is_no_longer_wanted(state_store: StateStore):
    await state_store.change(lambda state: replace(state, wanted="v2"))

    await state_store.condemn("v2", "b", "it crashed", Clock(), traffic=False)

    assert "" == state_store.state.wanted


async def test_nothing_is_written_where_nothing_changes(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)

    assert State() == await state_store.change(lambda state: state)


async def test_failed_state_write_is_retried_with_next_note(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)
    await state_store.note(held)
    monkeypatch.undo()

    await state_store.note(lambda state: state)

    assert state_store.state == await asyncio.to_thread(file.read)


def slow_disk(
    file: StateFile, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, threading.Event]:
    """Hold up writes of *file*: one has begun; it goes on."""
    begun, goes_on = threading.Event(), threading.Event()
    write = file.write

    def slow(state: State) -> None:
        begun.set()
        goes_on.wait(20)
        write(state)

    monkeypatch.setattr(file, "write", slow)
    return begun, goes_on


async def test_a_write_is_over_before_its_cancellation_is(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    """Two at a time would spoil the file that both write; then it did not happen."""
    begun, goes_on = slow_disk(file, monkeypatch)
    change = asyncio.create_task(state_store.change(held))
    await asyncio.to_thread(begun.wait, 20)
    for _ in range(2):
        change.cancel()
        await asyncio.sleep(0)
    monkeypatch.undo()
    other = asyncio.create_task(
        state_store.note(lambda state: replace(state, wanted="v2"))
    )
    await asyncio.sleep(0)
    assert state_store._writing.locked()
    goes_on.set()
    await asyncio.wait({change, other})

    assert change.cancelled()
    assert (False, "v2") == (state_store.state.hold, state_store.state.wanted)
    assert state_store.state == await asyncio.to_thread(file.read)


async def test_cancelled_note_holds_though_another_follows(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    """A version must not leave quarantine because dewy ended as it got in."""
    begun, goes_on = slow_disk(file, monkeypatch)
    condemning = asyncio.create_task(
        state_store.condemn("v2", "b", "died", Clock(), traffic=True)
    )
    await asyncio.to_thread(begun.wait, 20)
    condemning.cancel()
    goes_on.set()
    await asyncio.wait({condemning})

    await state_store.note(lambda state: replace(state, notifies=True))

    known = await asyncio.to_thread(file.read)
    assert known
    assert known.quarantine.find("v2", "b")


async def test_refused_note_is_told_with_path_and_advice_until_written(
    state_store: StateStore, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)
    await state_store.note(held)
    told = state_store.unwritten
    monkeypatch.undo()
    await state_store.flush()

    assert told == (
        f"could not be written to {file.path} (No space left on device): "
        "free space, it is written at the next poll"
    )
    assert "" == state_store.unwritten


async def test_refused_change_names_path_and_advice(tmp_path: Path):
    (tmp_path / ".state.json.tmp").mkdir()
    state_store = StateStore(StateFile(tmp_path), State())

    with pytest.raises(OSError, match=r"could not write .*/state\.json \(.*: make it"):
        await state_store.change(held)
