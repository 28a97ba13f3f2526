"""Showing something again and again."""

from __future__ import annotations

import pytest

from dewy.cli.output import REFRESH, refresh
from dewy.errors import DewyError


def test_watch_continues_after_failure_until_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends by Ctrl-C alone; where nobody looks, the screen is not cleared."""
    answers = iter(["one", DewyError("away"), "two"])
    pauses: list[float] = []

    def show() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("dewy.cli.output.time.sleep", sleep)
    refresh(show, json_=False)

    assert "one\naway\ntwo\n" == capsys.readouterr().out
    assert [REFRESH] * 3 == pauses


def test_failure_is_json_where_all_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show() -> str:
        raise DewyError("away")

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dewy.cli.output.time.sleep", sleep)
    refresh(show, json_=True)

    assert '{"error": "away"}\n' == capsys.readouterr().out
