"""A target with all that is round it, through an hour of trouble."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History
from dewy.errors import ConfigError, RateLimited, RemoteError
from dewy.notifiers import Notice, NoticeKind, Origin, queue
from dewy.notifiers import pipeline as module
from dewy.notifiers.pipeline import Pipeline, name_of, open_pipeline, open_target
from dewy.notifiers.queue import NoticeQueue
from tests.eventually import eventually
from tests.notifiers.times import Time, Trying, collected

ORIGIN = Origin("web-01", Path("/srv/shop"), "server")
HOUR = 3600.0


class Away:
    """A target that has trouble until an hour has passed."""

    def __init__(self, time: Time, trouble: str) -> None:
        self._time = time
        self._until = time.now + HOUR
        self._trouble = trouble
        self.sent: list[Notice] = []

    async def send(self, notice: Notice) -> None:
        if self._time.now < self._until:
            await self._fail()
        self.sent.append(notice)

    async def _fail(self) -> None:
        match self._trouble:
            case "hangs":
                await asyncio.Event().wait()
            case "refuses":
                raise ConnectionRefusedError(111, "refused")
            case "429":
                raise RateLimited("429", retry_after=30.0)
            case _:
                raise RemoteError("500")


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "429", "500"])
async def test_an_hour_of_trouble_loses_nothing_that_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """In order, nothing twice, with little kept meanwhile, and nobody waits."""
    time = Time()
    monkeypatch.setattr(queue, "DELIVERY", 0.002)
    hasty = partial(NoticeQueue, sleep=time.sleep)
    monkeypatch.setattr(module, "NoticeQueue", hasty)
    target = Away(time, trouble)
    channel = Pipeline(target, time.clock)
    async with DeploymentLog(
        History(tmp_path), [channel], time.clock
    ) as deployment_log:
        for number in range(20):
            deployment_log.tell(NoticeKind.ORDINARY, f"Fetched v{number}")
            for _ in range(30):
                deployment_log.tell(NoticeKind.ERROR, f"v{number} failed at start")
            deployment_log.tell(NoticeKind.IMPORTANT, f"Restarted for v{number}")
            await asyncio.sleep(0)
        # All that was decided at once, before the target ever answered.
        assert [] == target.sent
        assert len(channel._queue) < 100
        await eventually(lambda: any("for v19" in each.text for each in target.sent))

    told = [
        n.text.split("\n")[0] for n in target.sent if n.kind is NoticeKind.IMPORTANT
    ]
    assert [f"Restarted for v{number}" for number in range(20)] == told
    assert len({notice.id for notice in target.sent}) == len(target.sent)
    assert time.now >= HOUR


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:s3cret@hooks.test:8443/T0/B0/s3cret?token=x", "hooks.test:8443"),
        ("mail://u:p@smtp.test/ops@acme.test", "smtp.test"),
        ("slack://deployments?title=x", "deployments"),
    ],
)
def test_name_of_a_notifier_holds_no_secret(url: str, name: str) -> None:
    assert f"{url.partition(':')[0]}://{name}" == name_of(url)


async def test_notifier_failure_is_reported_until_delivery_succeeds() -> None:
    failures: list[Exception] = [RemoteError("hooks.test answered 500")]

    def outcome() -> None:
        if failures:
            raise failures[0]

    time = Time()
    target = Trying(outcome)
    async with Pipeline(target, time.clock, name="https://hooks.test") as channel:
        assert "" == channel.trouble
        await channel.send(Notice(NoticeKind.ERROR, "one"))
        await eventually(lambda: channel.trouble)
        assert channel.trouble == (
            "notifier https://hooks.test fails: hooks.test answered 500; 1 notice waits"
        )
        failures.clear()
        await channel.send(Notice(NoticeKind.ERROR, "two"))
        await eventually(lambda: not channel.trouble)


async def test_target_by_itself_is_told_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2hunter2")
    told = collected()
    monkeypatch.setattr(module.NOTIFIERS, "open", lambda *args: told)
    target = open_target("mem://x?quiet=on", ORIGIN)
    await target.send(Notice(NoticeKind.ORDINARY, "hunter2hunter2"))

    assert ["***"] == [notice.text for notice in told.sent]


def test_quiet_is_an_option_of_every_url() -> None:
    """Whatever else stands there is the target's own."""

    def bare(url: str) -> tuple[str, bool]:
        return module._without_quiet(url)

    assert ("https://h/x?a=%2B&b", True) == bare("https://h/x?a=%2B&quiet=1&b")
    assert ("mem://x", True) == bare("mem://x?QUIET=true")
    assert ("mem://x?a=1", False) == bare("mem://x?a=1&quiet=")
    assert ("mem://x", False) == bare("mem://x")
    with pytest.raises(ConfigError) as caught:
        bare("https://me:s3cret@h/x?quiet=perhaps")
    told = "notifier https://***@h/x?quiet=perhaps: option quiet='perhaps'"
    assert str(caught.value).startswith(told)


async def test_quiet_pipeline_drops_ordinary_notices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = collected()
    monkeypatch.setattr(module.NOTIFIERS, "open", lambda *args: told)
    async with open_pipeline("mem://x?quiet=on", ORIGIN, Time().clock) as channel:
        await channel.send(Notice(NoticeKind.ORDINARY, "fetched"))
        await channel.send(Notice(NoticeKind.ERROR, "error"))

    assert ["error"] == [notice.text for notice in told.sent]


async def test_secrets_are_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the environment, tokens, and passwords in URLs."""
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2hunter2")
    told = collected()
    log = "https://user:s3same@host/ ghp_0123456789 hunter2hunter2"
    async with Pipeline(told, Time().clock) as channel:
        await channel.send(Notice(NoticeKind.ERROR, "it failed", (("log", log),)))

    assert (("log", "https://***@host/ *** ***"),) == told.sent[0].fields
    assert "<Pipeline to <MemoryNotifier people: 1 sent>>" == repr(channel)
