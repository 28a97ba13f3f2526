"""The change under way: one at a time, cancellable until it commits."""

from __future__ import annotations

import asyncio

import pytest

from dewy.deploy.changes import Attempt, Busy, Cancelled, Change, ChangeSlot


def change(target: str = "v2", slot: ChangeSlot | None = None) -> Change:
    listener = slot.publish if slot else print
    return Change(Attempt(target, "v1", "deploy", 0.0, listener=listener))


class Work:
    """Work that waits, commits when told to, and then waits again."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.commit = asyncio.Event()
        self.committed = asyncio.Event()
        self.go_on = asyncio.Event()
        self.undone = False

    async def __call__(self, change: Change) -> str:
        self.begun.set()
        try:
            await self.commit.wait()
            change.commit()
        except asyncio.CancelledError:
            self.undone = True
            raise
        self.committed.set()
        await self.go_on.wait()
        return "done"


async def started(
    slot: ChangeSlot, work: Work, change: Change, preempt: str = ""
) -> asyncio.Task[str]:
    task = asyncio.create_task(slot.run(change, work, preempt))
    await work.begun.wait()
    return task


async def test_change_runs_to_its_result() -> None:
    slot, work, made = ChangeSlot(), Work(), change()
    task = await started(slot, work, made)
    assert made is slot.current is slot.pending
    work.commit.set()
    work.go_on.set()

    assert "done" == await task
    assert slot.current is None


async def test_second_change_is_rejected_while_another_runs() -> None:
    slot, work = ChangeSlot(), Work()
    task = await started(slot, work, change())

    with pytest.raises(Busy, match="v2 is being deployed"):
        await slot.run(change("v3"), Work())

    task.cancel()
    await asyncio.wait({task})


async def test_cancel_undoes_uncommitted_change_and_frees_the_slot() -> None:
    slot, work, made = ChangeSlot(), Work(), change()
    task = await started(slot, work, made)

    assert made is await slot.cancel("held by operator")

    with pytest.raises(Cancelled, match="held by operator"):
        await task
    assert (True, None) == (work.undone, slot.current)


async def test_cancelled_change_cannot_commit_although_the_cancellation_is_lost() -> (
    None
):
    slot, made = ChangeSlot(), change()
    begun = asyncio.Event()

    async def deaf(change: Change) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            change.commit()

    task = asyncio.create_task(slot.run(made, deaf))
    await begun.wait()
    await slot.cancel("aborted")

    with pytest.raises(Cancelled, match="aborted"):
        await task
    assert not made.committed


async def test_committed_change_is_not_cancelled() -> None:
    slot, work, made = ChangeSlot(), Work(), change()
    task = await started(slot, work, made)
    work.commit.set()
    await work.committed.wait()

    assert await slot.cancel("too late") is None
    assert (None, made) == (slot.pending, slot.current)

    settled = asyncio.create_task(slot.settled())
    work.go_on.set()
    assert "done" == await task
    await settled


@pytest.mark.parametrize(
    ("preempt", "reason"),
    [
        ("asked for by operator", "its client disconnected"),
        ("", "dewy is stopping"),
    ],
)
async def test_cancelled_requester_cancels_and_undoes_change(
    preempt: str, reason: str
) -> None:
    """Polls, which preempt nothing, leave only where dewy does."""
    slot, work, made = ChangeSlot(), Work(), change()
    task = await started(slot, work, made, preempt)
    task.cancel()
    await asyncio.wait({task})

    assert (True, True, None) == (task.cancelled(), work.undone, slot.current)
    assert reason == made.cancelled


async def test_change_that_takes_long_to_undo_does_not_hold_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dewy.deploy.changes.UNDOING", 0.01)
    slot, said = ChangeSlot(), []
    begun, undone = asyncio.Event(), asyncio.Event()

    async def slow(change: Change) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await undone.wait()

    first = asyncio.create_task(slot.run(change(), slow))
    await begun.wait()
    with slot.listening(said.append):
        await slot.cancel("rolled back")
    work = Work()
    second = await started(slot, work, change("v1"))
    work.commit.set()
    work.go_on.set()

    assert "done" == await second
    assert ["undoing v2 goes on"] == said
    assert not first.done()
    undone.set()
    with pytest.raises(Cancelled):
        await first


async def test_listeners_receive_deployment_steps() -> None:
    slot, said = ChangeSlot(), []

    async def work(change: Change) -> None:
        change.attempt.reach("fetch")
        change.attempt.note("10 of 20 MiB")

    with slot.listening(said.append):
        await slot.run(change(slot=slot), work)
    await slot.run(change(slot=slot), work)

    assert ["fetching v2", "10 of 20 MiB"] == said


async def test_listener_that_fails_does_not_fail_the_change() -> None:
    slot = ChangeSlot()

    def fail(text: str) -> None:
        raise RuntimeError("the client has left")

    async def work(change: Change) -> str:
        change.attempt.reach("fetch")
        return "done"

    with slot.listening(fail):
        assert "done" == await slot.run(change(slot=slot), work)


async def test_second_cancellation_does_not_break_off_the_undoing():
    slot, begun, undone = ChangeSlot(), asyncio.Event(), asyncio.Event()
    undoing, finish = asyncio.Event(), asyncio.Event()
    change = Change(Attempt("v2", "v1", "deploy", 0.0))

    async def work(change: Change) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            undoing.set()
            await finish.wait()
            undone.set()

    running = asyncio.create_task(slot.run(change, work))
    await begun.wait()
    change.cancel("first")
    await undoing.wait()
    change.cancel("second")
    finish.set()
    with pytest.raises(Cancelled, match="first"):
        await running

    assert undone.is_set()


async def test_download_progress_is_attributed_to_its_change() -> None:
    """`status` has all of it, and whoever waits is told what is news."""
    slot, work, heard = ChangeSlot(), Work(), list[str]()
    made = change(slot=slot)
    slot.advance("v2", "nobody is there", True)
    task = await started(slot, work, made)
    with slot.listening(heard.append):
        slot.advance("v2", "1 of 10 MiB", True)
        slot.advance("v2", "2 of 10 MiB", False)
        slot.advance("v1", "healing", True)
    assert "2 of 10 MiB" == made.attempt.progress
    assert ["1 of 10 MiB"] == heard
    work.commit.set()
    work.go_on.set()
    await task


async def test_stopped_slot_cancels_the_change_under_way_and_refuses_others() -> None:
    slot, work = ChangeSlot(), Work()
    task = await started(slot, work, change(), "asked for by operator")

    await slot.stop()

    assert work.undone
    for refused in (task, slot.run(change("v3"), Work())):
        with pytest.raises(Cancelled, match="dewy is stopping"):
            await refused


async def test_stopped_slot_waits_for_a_committed_change() -> None:
    slot, work = ChangeSlot(), Work()
    task = await started(slot, work, change())
    work.commit.set()
    await work.committed.wait()
    stopping = asyncio.create_task(slot.stop())
    work.go_on.set()

    await stopping

    assert "done" == await task
