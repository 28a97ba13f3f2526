"""Trial of the notifiers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.checks import Level, endpoints
from dewy.checks.endpoints import notifier_findings
from dewy.config import Settings
from tests.standins.receiving import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def settings(root: Path, *urls: str) -> Settings:
    return Settings(
        command="assets", root=root, cache_dir=root / "cache", notifiers=urls
    )


async def found(root: Path, *urls: str) -> list[tuple[Level, str]]:
    chosen = settings(root, *urls)
    return [(each.level, each.text) async for each in notifier_findings(chosen)]


async def test_notice_is_sent_through_each_notifier(
    receiver: Receiver, tmp_path: Path
) -> None:
    """Also through a quiet one; each result is told, in order, without secrets."""
    refusing = f"{receiver.url.replace('//', '//me:s3cret@')}/T0/s3cret?quiet=true"
    receiver.fault = 500
    ((level, text),) = await found(tmp_path, refusing)
    assert Level.FAILURE is level
    assert text == f"{receiver.url}: 127.0.0.1 answered 500 Internal Server Error"
    receiver.fault = ""
    told = await found(tmp_path, refusing, "mem://x", "nobody://x")

    assert [Level.OK, Level.OK, Level.MISTAKE] == [level for level, _ in told]
    assert told[0][1].startswith(f"{receiver.url} accepted a test notice in ")
    assert "s3cret" not in str(told)
    (message,) = receiver.messages
    assert "dewy check --test-notifiers" in message["text"]


async def test_notifier_that_hangs_is_given_up(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "DELIVERY", 0.05)
    receiver.fault = "hang"

    assert [(Level.FAILURE, f"{receiver.url}: no answer within 0.05 s")] == await found(
        tmp_path, receiver.url
    )


async def test_fault_of_a_notifier_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faulty:
        async def send(self, notice: object) -> None:
            raise KeyError("channel")

    monkeypatch.setattr(endpoints, "open_target", lambda url, origin: Faulty())

    assert [(Level.FAILURE, "mem://x: KeyError: 'channel'")] == await found(
        tmp_path, "mem://x"
    )
