"""The state in memory and on disk."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.ledger import Ledger
from dewy.deploy.state import State, StateFile
from dewy.system import Clock


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path)


@pytest.fixture
def ledger(file: StateFile) -> Ledger:
    return Ledger(file, State())


def held(state: State) -> State:
    return replace(state, hold=True)


def forbid(file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(state: State) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "write", refuse)


async def test_a_change_is_on_disk_when_it_is_visible(ledger: Ledger, file: StateFile):
    assert (await ledger.change(held)).hold

    assert ledger.state == await asyncio.to_thread(file.read)


async def test_a_change_that_cannot_be_written_did_not_happen(
    ledger: Ledger, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)

    with pytest.raises(OSError, match="No space"):
        await ledger.change(held)

    assert State() == ledger.state


async def test_what_is_true_anyhow_is_remembered_without_the_disk(
    ledger: Ledger, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)
    await ledger.condemn("v2", "b", "disk full", Clock(), traffic=False)
    monkeypatch.undo()

    assert ledger.state.quarantine.find("v2", "b")
    await ledger.change(held)
    assert ledger.state == await asyncio.to_thread(file.read)


async def test_changes_at_once_all_count(ledger: Ledger):
    def add(number: int) -> object:
        return ledger.change(
            lambda state: replace(state, wanted=f"{state.wanted}{number}")
        )

    await asyncio.gather(*(add(number) for number in range(10)))

    assert sorted("0123456789") == sorted(ledger.state.wanted)


async def test_a_failed_version_is_no_longer_wanted(ledger: Ledger):
    await ledger.change(lambda state: replace(state, wanted="v2"))

    await ledger.condemn("v2", "b", "it crashed", Clock(), traffic=False)

    assert "" == ledger.state.wanted


async def test_nothing_is_written_where_nothing_changes(
    ledger: Ledger, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)

    assert State() == await ledger.change(lambda state: state)


async def test_what_the_disk_refused_is_written_as_soon_as_it_can(
    ledger: Ledger, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    forbid(file, monkeypatch)
    await ledger.note(held)
    monkeypatch.undo()

    await ledger.note(lambda state: state)

    assert ledger.state == await asyncio.to_thread(file.read)


async def test_a_write_is_over_before_its_cancellation_is(
    ledger: Ledger, file: StateFile, monkeypatch: pytest.MonkeyPatch
):
    """Two at a time would spoil the file that both write; then it did not happen."""
    begun, goes_on = threading.Event(), threading.Event()
    write = file.write

    def slow(state: State) -> None:
        begun.set()
        goes_on.wait(20)
        write(state)

    monkeypatch.setattr(file, "write", slow)
    change = asyncio.create_task(ledger.change(held))
    await asyncio.to_thread(begun.wait, 20)
    for _ in range(2):
        change.cancel()
        await asyncio.sleep(0)
    monkeypatch.undo()
    other = asyncio.create_task(ledger.note(lambda state: replace(state, wanted="v2")))
    await asyncio.sleep(0)
    assert ledger._writing.locked()
    goes_on.set()
    await asyncio.wait({change, other})

    assert change.cancelled()
    assert (False, "v2") == (ledger.state.hold, ledger.state.wanted)
    assert ledger.state == await asyncio.to_thread(file.read)
