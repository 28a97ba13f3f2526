"""`dewy status`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dewy.admin import operate
from dewy.cli.status import screen
from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy

WELL: dict[str, Any] = {
    "name": "app",
    "command": "server",
    "pid": 7,
    "dewy": "1.0",
    "root": "/srv/app",
    "running": {"tag": "v2", "identity": "two", "directory": "d2", "since": 400.0},
    "why": "the newest release when it was deployed",
    "standing": "v2 runs",
    "previous": {"tag": "v1", "identity": "one", "directory": "d1", "since": 100.0},
    "healthy": True,
    "degraded": [],
    "hold": False,
    "quarantine": [],
    "generations": [
        {"generation": 2, "pid": 8, "state": "ready", "since": 990.0, "status": "up"}
    ],
    "replicas": [],
    "paused": False,
    "next_poll": 1005.0,
    "last_poll": 995.0,
    "last_error": "",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The status that a running dewy tells; to be changed at will."""
    status = dict(WELL)

    async def look(settings: object) -> dict[str, Any]:
        return status

    monkeypatch.setattr(operate, "look", look)
    return status


def test_screen_of_a_dewy_that_is_well() -> None:
    """What is not the case takes no line."""
    lines = screen(WELL, 1000.0)

    assert "app v2 is well" == lines[0]
    assert "root:       /srv/app" == lines[1]
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "dewy: server, version 1.0, pid 7" in text
    assert "running: v2, deployed" in text
    assert "(10m ago), releases/d2" in text
    assert "why: the newest release when it was deployed" in text
    assert "registry:" not in text
    assert "last poll: 5.0s ago" in text
    assert "next poll: in 5.0s" in text
    assert "generation 2 pid 8 ready for 10s up" in text
    assert "hold" not in text
    assert "last error" not in text


def test_ports_of_containers_are_shown_with_their_addresses() -> None:
    ports = [{"address": "127.0.0.1:8080"}, {"address": "[::1]:8080"}]
    lines = screen({**WELL, "command": "container", "ports": ports}, 1000.0)

    assert any(line.endswith("127.0.0.1:8080, [::1]:8080") for line in lines)


def test_screen_of_a_dewy_in_trouble() -> None:
    """What is wrong comes first."""
    quarantine = [
        {"tag": "v3", "reason": "died", "failures": 2, "until": 1120.0},
        {"tag": "v4", "reason": "bad", "failures": 1, "until": None},
        {"tag": "v5", "reason": "slow", "failures": 1, "until": 900.0},
    ]
    status = {
        **WELL,
        "degraded": ["the program is down", "and more"],
        "hold": True,
        "quarantine": quarantine,
        "last_error": "it is down",
        "last_detail": "no database",
        "running": None,
        "previous": None,
        "generations": [],
        "pid": None,
    }
    text = "\n".join(" ".join(line.split()) for line in screen(status, 1000.0))

    assert text.startswith("app is degraded: the program is down; and more\n")
    assert "dewy: not running" in text
    assert "hold: yes; `dewy unhold` ends it" in text
    assert "v3: died (tried again in 2m, 2 failures)" in text
    assert "v4: bad (until `dewy retry v4`)" in text
    assert "v5: slow (tried again at the next poll)" in text
    assert "last error: it is down: no database" in text


@pytest.mark.parametrize(
    ("degraded", "words", "expected"),
    [
        ([], ("--check",), 0),
        (["down"], (), 0),
        (["down"], ("--check",), 1),
        (["down"], ("--check", "--json"), 1),
    ],
)
def test_check_is_for_monitoring(
    dewy: Dewy,
    told: dict[str, Any],
    degraded: list[str],
    words: tuple[str, ...],
    expected: int,
) -> None:
    """Only `--check` makes what is degraded a failure of the command."""
    told["degraded"] = degraded

    assert expected == dewy("status", *words).status


def test_attention_is_told_and_no_failure(dewy: Dewy, told: dict[str, Any]) -> None:
    """Monitoring must not page for what an operator did on purpose."""
    told["attention"] = ["held; `dewy unhold` ends it"]
    ended = dewy("status", "--check")

    assert 0 == ended.status
    assert "needs attention: held" in ended.out.splitlines()[0]


def test_json_is_the_status_itself(dewy: Dewy, told: dict[str, Any]) -> None:
    """Without anything around it."""
    assert told == json.loads(dewy("status", "--json").out)


def test_status_without_a_dewy(dewy: Dewy, worked: StateFile) -> None:
    """What would run is told, and that it does not."""
    ended = dewy("status", "--check")

    assert 1 == ended.status
    assert "v2 is degraded: no dewy runs in this root" in ended.out
    assert "v3: died (until `dewy retry v3`)" in ended.out


def test_broken_state_is_told(dewy: Dewy, worked: StateFile) -> None:
    """And `--check` says so, until a person has looked at it."""
    worked.path.write_text("rubbish")
    ended = dewy("status", "--check")

    assert 1 == ended.status
    assert "state.json could not be read: its hold and quarantine" in ended.out
    assert "rubbish" == worked.path.read_text()


REPLICA = {
    "name": "app-1-0",
    "version": "v2",
    "phase": "serving",
    "health": "healthy",
    "connections": 3,
    "upstream": "172.18.0.2:80",
    "way": "direct",
}


def test_screen_of_replicas() -> None:
    """An image has no directory; it is told by its digest."""
    running = {"tag": "v2", "identity": "sha256:2", "directory": "", "since": 400.0}
    shown = {**WELL, "generations": [], "replicas": [REPLICA], "running": running}
    text = "\n".join(" ".join(line.split()) for line in screen(shown, 1000.0))

    assert "(10m ago), sha256:2" in text
    wanted = "replica app-1-0 v2 serving healthy 3 connections 172.18.0.2:80 direct"
    assert wanted in text

    last = {
        "container": "app-0-0",
        "version": "v2",
        "how": "exit status 1",
        "finished_at": "2026-03-02T09:17:05+00:00",
    }
    shown["replicas"] = [{**REPLICA, "restarts": 2, "last_terminated": last}]
    text = "\n".join(" ".join(line.split()) for line in screen(shown, 1000.0))
    assert "direct restarted 2 times, last app-0-0 (v2): exit status 1, 2026-" in text

    shown["replicas"] = [{**REPLICA, "restarts": 1}]
    assert "restarted once" in "\n".join(screen(shown, 1000.0))


def test_end_of_another_version_is_not_shown_on_a_replica() -> None:
    last = {
        "container": "app-0-0",
        "version": "v1",
        "how": "exit status 1",
        "finished_at": "2026-03-02T09:17:05+00:00",
    }
    replica = {**REPLICA, "restarts": 0, "last_terminated": last}
    text = "\n".join(screen({**WELL, "replicas": [replica]}, 1000.0))

    assert "app-1-0" in text
    assert "app-0-0" not in text


def test_deployment_under_way_is_shown_with_its_progress() -> None:
    under_way = {
        "tag": "v3",
        "step": "start",
        "progress": "replica 2 of 3 is healthy",
        "since": 990.0,
    }
    lines = list(screen({**WELL, "underway": under_way}, 1000.0))

    assert any(
        line.startswith("deploying:")
        and line.endswith("v3, replica 2 of 3 is healthy, for 10s")
        for line in lines
    )
    assert not any(line.startswith("next poll") for line in lines)


def test_follow_up_is_told() -> None:
    follow_up = {"tag": "v3", "action": "deploy", "step": "after-hook", "since": 990.0}
    shown = screen({**WELL, "follow_up": follow_up}, 1000.0)
    lines = [" ".join(line.split()) for line in shown]

    assert "following up: v3, after-hook, for 10s" in lines


def test_poll_that_takes_its_time_is_said_to_be_under_way() -> None:
    shown = screen({**WELL, "next_poll": 975.0}, 1000.0)
    lines = [" ".join(line.split()) for line in shown]

    assert "next poll: under way for 25s" in lines


def test_stopped_dewy_shows_current_but_not_running_version() -> None:
    text = "\n".join(screen({**WELL, "pid": None}, 1000.0))

    assert "dewy:       not running" in text
    assert "current:    v2, deployed" in text
    assert "running:" not in text


@pytest.mark.parametrize(
    ("action", "heading"),
    [("deploy", "deploying:"), ("rollback", "going back:"), ("reload", "reloading:")],
)
def test_change_under_way_is_labelled_by_its_action(action: str, heading: str) -> None:
    change = {"tag": "v3", "action": action, "step": "start", "since": 990.0}
    lines = screen({**WELL, "underway": change}, 1000.0)

    assert any(line.startswith(heading) for line in lines)


def test_deployment_has_begin_and_end_as_in_the_history(tokyo: None) -> None:
    running = {**WELL["running"], "began": 396.0, "ended": 400.0}
    lines = screen({**WELL, "running": running}, 1000.0)
    assert any("deployed 1970-01-01 09:06:36 to 09:06:40 +09:00 (" in x for x in lines)

    running["since"] = 700.0
    lines = screen({**WELL, "running": running}, 1000.0)
    assert any("gone back to 1970-01-01 09:11:40 +09:00 (5m ago)" in x for x in lines)


def test_time_of_a_clock_that_ran_ahead_is_not_just_now() -> None:
    running = {**WELL["running"], "began": 396.0, "ended": 400.0, "since": 1e6}
    lines = "\n".join(screen({**WELL, "running": running}, 1000.0))
    assert "gone back" not in lines
    assert "(10m ago)" in lines

    running["ended"] = 1e6
    lines = "\n".join(screen({**WELL, "running": running}, 1000.0))
    assert "(by a clock that ran ahead)" in lines


def test_quarantine_of_older_version_is_shown_as_not_tried() -> None:
    entry = {
        "tag": "v1.1.0",
        "reason": "died",
        "failures": 1,
        "until": 900.0,
        "not_tried": "not tried while v1.6.0 is what polls find",
    }
    text = "\n".join(screen({**WELL, "quarantine": [entry]}, 1000.0))

    assert "v1.1.0: died (not tried while v1.6.0 is what polls find)" in text


@pytest.mark.parametrize(
    ("given", "colour"),
    [
        ({}, "32"),
        ({"attention": ["held"]}, "33"),
        ({"underway": {"tag": "v3", "step": "fetch", "since": 1.0}}, "33"),
        ({"degraded": ["it is down"], "attention": ["held"]}, "31"),
    ],
)
def test_headline_on_terminal_is_coloured_by_state(
    dewy: Dewy,
    told: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    colour: str,
) -> None:
    """A pipe gets none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    told.update(given)
    assert "\x1b" not in dewy("status").out
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)

    assert dewy("status").out.startswith(f"\x1b[{colour}mapp v2 ")


def test_reason_of_a_quarantine_is_not_repeated_where_the_version_is_passed_over() -> (
    None
):
    entry = {"tag": "v3", "reason": "it died", "failures": 1, "until": 1030.0}
    passed = [
        {"name": "v3", "reason": "v3 is in quarantine until 18:20:30: it died"},
        {"name": "v4", "reason": "v4 holds no artifact for this host"},
    ]
    shown = {**WELL, "quarantine": [entry], "passed_over": passed}
    lines = [" ".join(line.split()) for line in screen(shown, 1000.0)]

    assert "passed over: v3: in quarantine" in lines
    assert "passed over: v4: v4 holds no artifact for this host" in lines
    assert 1 == "\n".join(lines).count("it died")
