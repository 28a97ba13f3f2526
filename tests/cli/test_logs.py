"""`dewy logs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import client
from tests.cli.conftest import Dewy


def part(source: str, *lines: str, end: int = 0, **more: Any) -> dict[str, Any]:
    return {"source": source, "lines": lines, "next": end, "missed": 0, **more}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a running dewy was asked; it is left by Ctrl-C when it has no more."""
    answers = [
        [part("generation 1", "one", end=1)],
        [part("generation 1", "two", end=4, missed=2), part("generation 2", end=0)],
    ]
    asked: list[dict[str, Any]] = []

    async def ask(private: Path, verb: str, patience: float, **args: Any) -> Any:
        asked.append({"verb": verb, **args, "after": dict(args["after"])})
        if not answers:
            raise KeyboardInterrupt
        return {"sources": answers.pop(0)}

    monkeypatch.setattr(client, "ask", ask)
    monkeypatch.setattr("dewy.cli.logs.PAUSE", 0.0)
    return asked


def test_log_lines_are_prefixed_with_source(
    dewy: Dewy, asked: list[dict[str, Any]]
) -> None:
    ended = dewy("logs", "-n", "7", "--generation", "1")

    assert (0, "generation 1 | one\n") == (ended.status, ended.out)
    (said,) = asked
    assert ("logs", 7, "1", None) == (
        said["verb"],
        said["lines"],
        said["generation"],
        said["replica"],
    )


def test_follow_continues_after_last_position(
    dewy: Dewy, asked: list[dict[str, Any]]
) -> None:
    """Until Ctrl-C, and with what it came too late for."""
    ended = dewy("logs", "--follow")

    assert 0 == ended.status
    assert [
        "generation 1 | one",
        "generation 1 | ... 2 lines left out",
        "generation 1 | two",
    ] == ended.out.splitlines()
    assert [{}, {"generation 1": 1}, {"generation 1": 4, "generation 2": 0}] == [
        each["after"] for each in asked
    ]


def test_json_is_an_object_a_line(dewy: Dewy, asked: list[dict[str, Any]]) -> None:
    ended = dewy("logs", "--json")

    assert {
        "source": "generation 1",
        "line": "one",
        "at": "1970-01-01T00:00:00.000+00:00",
    } == json.loads(ended.out)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a running dewy was asked; it always has the same four lines."""
    times = [100.0, 200.0, 300.0, 400.0]
    lines = ("up", "GET /a 200", "GET /b 500", "GET /c 200")
    asked: list[dict[str, Any]] = []

    async def ask(private: Path, verb: str, patience: float, **args: Any) -> Any:
        asked.append(args)
        return {"sources": [part("app-0", *lines, times=times)]}

    monkeypatch.setattr(client, "ask", ask)
    monkeypatch.setattr("dewy.cli.logs.time.time", lambda: 500.0)
    return asked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--since", "250s"), ["GET /b 500", "GET /c 200"]),
        (("--since", "1970-01-01 09:05:00"), ["GET /b 500", "GET /c 200"]),
        (("--since", "1970-01-01T00:05:00Z"), ["GET /b 500", "GET /c 200"]),
        (("--grep", " 5\\d\\d$"), ["GET /b 500"]),
        (("--grep", "GET", "-n", "1"), ["GET /c 200"]),
        (("--grep", "GET", "--since", "3m20s"), ["GET /b 500", "GET /c 200"]),
    ],
)
def test_lines_are_chosen_by_time_and_content(
    dewy: Dewy,
    written: list[dict[str, Any]],
    tokyo: None,
    words: tuple[str, ...],
    expected: list[str],
) -> None:
    """Among all that there is, not only the last fifty."""
    ended = dewy("logs", *words)

    assert [f"app-0 | {line}" for line in expected] == ended.out.splitlines()
    assert 1000 == written[0]["lines"]


def test_times_are_shown_on_request(
    dewy: Dewy, written: list[dict[str, Any]], tokyo: None
) -> None:
    ended = dewy("logs", "-t", "--grep", "up")

    assert "app-0 | 1970-01-01 09:01:40 +09:00 up\n" == ended.out
    assert json.loads(dewy("logs", "--json", "--grep", "up").out)["at"].startswith(
        "1970-01-01T00:01:40"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "soon"), "soon is no time such as 10m"),
        (("--grep", "("), "( is no regular expression: "),
    ],
)
def test_time_or_pattern_that_is_none_is_refused(
    dewy: Dewy, words: tuple[str, ...], told: str
) -> None:
    ended = dewy("logs", *words)

    assert 2 == ended.status
    assert told in ended.err


def test_logs_without_running_dewy_is_an_error(dewy: Dewy, root: Path) -> None:
    ended = dewy("logs")

    assert (1, f"dewy: error: no dewy runs in {root}\n") == (ended.status, ended.err)


@pytest.mark.parametrize(
    "words", [("-n", "0"), ("-n", "5000"), ("--replica", "1", "--generation", "1")]
)
def test_invalid_or_conflicting_options_are_refused(
    dewy: Dewy, words: tuple[str, ...]
) -> None:
    assert 2 == dewy("logs", *words).status
