"""Deployments while nobody can be told of them: for an hour, by a clock of the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.notifiers import Notice, NoticeKind, Origin, queue
from dewy.notifiers import pipeline as module
from dewy.notifiers.memory import MemoryNotifier
from dewy.notifiers.pipeline import Pipeline, open_pipeline
from dewy.notifiers.queue import STALE, WAITING, NoticeQueue
from dewy.polling import Poller
from dewy.system import Clock
from tests.eventually import eventually
from tests.standins.agents import Hands, acting
from tests.standins.receiving import Receiver

HOUR = 3600.0
DEPLOYMENTS = 20
BETWEEN = HOUR / DEPLOYMENTS
ORIGIN = Origin("web-01", Path("/srv/shop"), "assets")


@dataclass
class Alarm:
    """Wakes whoever sleeps when the time has come, which the test moves on."""

    now: float = 2_000_000_000.0
    sleeping: dict[asyncio.Future[None], float] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, lambda: 0.0)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.sleeping[woken] = self.now + seconds
        try:
            await woken
        finally:
            self.sleeping.pop(woken, None)

    def move_on(self, seconds: float) -> None:
        self.now += seconds
        for woken, at in list(self.sleeping.items()):
            if at <= self.now:
                del self.sleeping[woken]
                woken.set_result(None)


@dataclass
class Trouble:
    """A receiver in trouble, and the channel that leads to it."""

    receiver: Receiver
    alarm: Alarm
    patch: pytest.MonkeyPatch

    async def begin(self, fault: str) -> None:
        # As short as an attempt may be that comes to nothing anyhow.
        self.patch.setattr(queue, "DELIVERY", 0.02)
        if fault == "refuses":
            await self.receiver.stop()
        else:
            self.receiver.fault = fault if fault == "hang" else int(fault)
            self.receiver.retry_after = "30" if fault == "429" else ""

    async def given_up(self) -> None:
        """Wait until no attempt is under way."""
        await eventually(lambda: self.alarm.sleeping)

    async def end(self) -> None:
        self.patch.undo()
        self.receiver.fault = ""
        await self.receiver.stop()
        await self.receiver.start()


async def deploy(hands: Hands, poller: Poller, number: int) -> None:
    """Publish a release and look; every third one is broken."""
    hands.publish(f"v1.{number}.0", b"broken" if number % 3 == 2 else None)
    await poller.once()


@pytest.mark.parametrize("fault", ["hang", "refuses", "429", "500"])
async def test_notifier_outage_delays_notices_but_not_deployments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Deployments take no longer, and afterwards what mattered is told."""
    alarm = Alarm()
    monkeypatch.setattr(module, "NoticeQueue", partial(NoticeQueue, sleep=alarm.sleep))
    known = MemoryNotifier(urlsplit("mem://known"))
    async with Receiver() as receiver:
        troubled = await asyncio.to_thread(
            open_pipeline, f"{receiver.url}/hook", ORIGIN, alarm.clock
        )
        healthy = Pipeline(known, alarm.clock)
        with pytest.MonkeyPatch.context() as patch:
            trouble = Trouble(receiver, alarm, patch)
            await trouble.begin(fault)
            async with acting(tmp_path, troubled, healthy) as hands:
                poller = Poller(
                    hands.tick,
                    hands.agent.reloadable,
                    hands.agent.clock,
                    hands.agent.deployment_log,
                )
                most = 0
                for number in range(DEPLOYMENTS):
                    hands.now = alarm.now
                    await deploy(hands, poller, number)
                    most = max(most, len(troubled._queue))
                    await trouble.given_up()
                    alarm.move_on(BETWEEN)
                await trouble.given_up()
                assert [] == receiver.received
                await trouble.end()
                alarm.move_on(BETWEEN)
                wanted = matters(known.sent)
                await eventually(lambda: len(receiver.received) >= len(wanted))
            records = await hands.history()

    texts = [m["text"] for m in receiver.messages if m["kind"] != "ordinary"]
    assert wanted == texts
    assert len({m["id"] for m in receiver.messages}) == len(receiver.messages)
    # By the clock that stands still while it acts, no deployment waited for anybody.
    assert DEPLOYMENTS == len(records)
    assert {0.0} == {record.seconds for record in records}
    assert most <= 2 * DEPLOYMENTS < WAITING
    # What did not matter is told only if it is fresh.
    late = [m for m in receiver.messages if m["kind"] == "ordinary"]
    assert len(late) <= STALE / BETWEEN + 1


def matters(sent: list[Notice]) -> list[str]:
    return [notice.text for notice in sent if notice.kind is not NoticeKind.ORDINARY]
