"""Writing down and telling, without holding anybody up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.deploy import deployment_log as module
from dewy.deploy.changes import Attempt
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History
from dewy.errors import RemoteError
from dewy.notifiers import Notice, NoticeKind
from dewy.notifiers.memory import MemoryNotifier
from dewy.system import Clock

CLOCK = Clock(wall=lambda: 1000.0, monotonic=lambda: 12.5)
ATTEMPT = Attempt("v2", "v1", "deploy", 10.0, "start")


class Troubled:
    """A notifier that fails, or never comes back."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def send(self, notice: Notice) -> None:
        if self.failure:
            raise self.failure
        await asyncio.Event().wait()


class Living:
    """A notifier that has a life, and what it saw in it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __aenter__(self) -> Living:
        self.seen.append("entered")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.seen.append("left")

    async def send(self, notice: Notice) -> None:
        self.seen.append(notice.text)


@pytest.fixture
def memory() -> MemoryNotifier:
    return MemoryNotifier(urlsplit("mem://people"))


async def test_an_attempt_is_written_with_its_end(tmp_path: Path):
    history = History(tmp_path)
    deployment_log = DeploymentLog(history, (), CLOCK)

    await deployment_log.record(ATTEMPT, "failed", "it crashed", ("last words",))

    (record,) = await asyncio.to_thread(history.read)
    assert ("v2", "v1", "deploy", "start", "failed", "it crashed") == (
        record.tag,
        record.previous,
        record.action,
        record.step,
        record.outcome,
        record.reason,
    )
    assert (1000.0, 2.5, ("last words",)) == (
        record.at,
        record.seconds,
        record.log_tail,
    )


async def test_death_is_written_once_in_a_row(tmp_path: Path):
    """One of another version, or much later, is another row."""
    history, now = History(tmp_path), [0.0]
    clock = Clock(wall=lambda: 1000.0, monotonic=lambda: now[0])
    deployment_log = DeploymentLog(history, (), clock)

    await deployment_log.died("v1", "exit status 1", ("last words",))
    await deployment_log.died("v1", "exit status 2")
    await deployment_log.died("v2", "exit status 3")
    now[0] = module.ROW
    await deployment_log.died("v2", "exit status 4")

    records = await asyncio.to_thread(history.read)
    assert [("v1", "1"), ("v2", "3"), ("v2", "4")] == [
        (each.tag, each.reason[-1]) for each in records
    ]
    assert {("restart", "died")} == {(each.action, each.outcome) for each in records}
    assert ("last words",) == records[0].log_tail
    assert "last words" == records[0].detail


async def test_death_that_probation_has_judged_is_not_written_again(tmp_path: Path):
    """Where there was nothing to go back to."""
    history = History(tmp_path)
    deployment_log = DeploymentLog(history, (), CLOCK)
    await deployment_log.record(ATTEMPT, "failed", "it died within probation")
    await deployment_log.died("v2", "exit status 1")

    assert 1 == len(await asyncio.to_thread(history.read))


async def test_a_history_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    deployment_log = DeploymentLog(History(tmp_path / "gone"), (), CLOCK)

    await deployment_log.record(ATTEMPT, "failed")

    assert "History not written" in caplog.text


async def test_notices_arrive_in_order(tmp_path: Path, memory: MemoryNotifier):
    async with DeploymentLog(History(tmp_path), (memory,), CLOCK) as deployment_log:
        for number in range(5):
            deployment_log.tell(NoticeKind.ORDINARY, str(number))

    assert ["0", "1", "2", "3", "4"] == [notice.text for notice in memory.sent]


@pytest.mark.parametrize("failure", [RemoteError("refused"), OSError("down"), None])
async def test_a_troubled_notifier_keeps_no_other_from_hearing(
    tmp_path: Path,
    memory: MemoryNotifier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception | None,
):
    monkeypatch.setattr(module, "DELIVERY", 0.05)
    notifiers = (Troubled(failure), memory)
    async with DeploymentLog(History(tmp_path), notifiers, CLOCK) as deployment_log:
        deployment_log.tell(NoticeKind.ERROR, "look here")

    assert ["look here"] == [notice.text for notice in memory.sent]
    assert "Notice not delivered" in caplog.text


async def test_leaving_does_not_wait_for_ever(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(module, "FAREWELL", 0.05)
    async with DeploymentLog(History(tmp_path), (Troubled(),), CLOCK) as deployment_log:
        for _ in range(50):
            deployment_log.tell(NoticeKind.ERROR, "x")

    assert "Notices lost" in caplog.text


async def test_too_many_notices_are_dropped_rather_than_kept(
    tmp_path: Path,
    memory: MemoryNotifier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(module, "WAITING", 3)
    async with DeploymentLog(History(tmp_path), (memory,), CLOCK) as deployment_log:
        for _ in range(5):
            deployment_log.tell(NoticeKind.ORDINARY, "x")

    assert 3 == len(memory.sent)
    assert "Notice dropped" in caplog.text


async def test_a_fault_of_a_notifier_does_not_silence_the_next_notice(
    tmp_path: Path, memory: MemoryNotifier
):
    faulty = Troubled(LookupError("not foreseen"))
    async with DeploymentLog(
        History(tmp_path), [faulty, memory], CLOCK
    ) as deployment_log:
        deployment_log.tell(NoticeKind.ERROR, "one")
        deployment_log.tell(NoticeKind.ERROR, "two")

    assert ["one", "two"] == [notice.text for notice in memory.sent]


async def test_poll_failure_and_recovery_are_notified(
    tmp_path: Path, memory: MemoryNotifier
):
    async with DeploymentLog(History(tmp_path), [memory], CLOCK) as deployment_log:
        deployment_log.poll_succeeded()
        deployment_log.poll_failed(RemoteError("registry is away"))
        deployment_log.poll_succeeded()
        deployment_log.poll_succeeded()

    assert [
        (NoticeKind.ERROR, "Poll failed: registry is away"),
        (NoticeKind.RECOVERY, "Polls succeed again"),
    ] == [(notice.kind, notice.text) for notice in memory.sent]
    assert 1000.0 == memory.sent[0].at


async def test_deployment_that_failed_is_told_once(
    tmp_path: Path, memory: MemoryNotifier
):
    """Its poll failed by it, and says nothing more; the next one mends nothing."""
    failure = RemoteError("v2 failed")
    async with DeploymentLog(History(tmp_path), [memory], CLOCK) as deployment_log:
        deployment_log.tell(NoticeKind.ERROR, "v2 failed at start", about=failure)
        deployment_log.poll_failed(failure)
        deployment_log.poll_succeeded()

    assert ["v2 failed at start"] == [notice.text for notice in memory.sent]


async def test_long_logs_are_shortened(tmp_path: Path, memory: MemoryNotifier):
    async with DeploymentLog(History(tmp_path), [memory], CLOCK) as deployment_log:
        deployment_log.tell(NoticeKind.ERROR, "failed", ("log", "x" * 100_000))

    assert len(memory.sent[0].fields[0][1]) < 2000


async def test_notifiers_that_live_are_entered_and_left(tmp_path: Path):
    living = Living()
    async with DeploymentLog(History(tmp_path), [living], CLOCK) as deployment_log:
        assert ["entered"] == living.seen
        deployment_log.tell(NoticeKind.ERROR, "text")

    assert ["entered", "text", "left"] == living.seen


async def test_observers_are_notified_of_outcome_and_end(tmp_path: Path):
    """Of the outcome, and of the end of what comes after it; its faults are its own."""
    seen: list[tuple[str, str, str]] = []

    def fault(attempt: Attempt) -> None:
        raise ZeroDivisionError

    def watch(what: str):
        return lambda attempt: seen.append((what, attempt.outcome, attempt.reason))

    deployment_log = DeploymentLog(History(tmp_path), (), CLOCK)
    deployment_log.recorded += [fault, watch("recorded")]
    deployment_log.over += [fault, watch("over")]
    attempt = Attempt("v2", "v1", "deploy", 10.0, "start")
    await deployment_log.record(attempt, "failed", "no database")
    assert [(what, "failed", "no database") for what in ("recorded", "over")] == seen

    seen.clear()
    await deployment_log.record(attempt, "deployed", more=True)
    assert [("recorded", "deployed", "")] == seen
    deployment_log.end(attempt)
    assert ("over", "deployed", "") == seen[-1]
