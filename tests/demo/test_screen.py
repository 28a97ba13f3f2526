"""What the demo shows."""

from __future__ import annotations

import asyncio

import click
import pytest

from dewy.demo.load import Tally
from dewy.demo.scenario import Screen, Story
from tests.eventually import eventually

STORY = Story(switch_seconds=0.64, verdict="it crashed", runs="v1.1.0")


def tally() -> Tally:
    made = Tally(connections=2)
    for version in ("v1.0.0", "v1.1.0", "v1.1.0"):
        made.answered(version)
    return made


def test_table_summarizes_requests_and_versions(capsys: pytest.CaptureFixture[str]):
    Screen().table(tally(), STORY)

    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    shown = {row[0]: row[1] for row in rows if row}
    assert "3 over 2 connections" == shown["requests"]
    assert "0" == shown["failures"]
    assert "never took over: it crashed" == shown["v1.2.0"]
    assert "seen    v1.0.0 (1), v1.1.0 (2)" == shown["versions"]


def test_failures_are_told_by_kind(capsys: pytest.CaptureFixture[str]):
    failed = tally()
    failed.failed(ConnectionResetError())
    Screen().table(failed, STORY)

    assert "1 (1 ConnectionResetError)" in capsys.readouterr().out


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]):
    Screen().say("something happened")

    assert capsys.readouterr().out.endswith("s  something happened\n")


async def test_on_a_terminal_a_line_lives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    screen = Screen()
    monkeypatch.setattr(screen, "_terminal", True)
    written: list[str] = []
    monkeypatch.setattr(click, "echo", lambda text="", nl=True: written.append(text))

    async with screen.live(tally()):
        await eventually(lambda: any("3 requests, 0 failed" in t for t in written))

    assert "answered by v1.1.0" in "".join(written)
    assert 1 == len(asyncio.all_tasks())
