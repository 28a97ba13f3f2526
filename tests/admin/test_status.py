"""What dewy tells of itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dewy import __version__
from dewy.admin.status import ProcessStatus, status
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import State
from dewy.deploy.verbs import BY_OPERATOR
from dewy.system import Clock

KEYS = {
    "name",
    "command",
    "pid",
    "dewy",
    "root",
    "running",
    "why",
    "standing",
    "passed_over",
    "previous",
    "healthy",
    "degraded",
    "attention",
    "underway",
    "follow_up",
    "hold",
    "probation",
    "quarantine",
    "generations",
    "deaths",
    "replicas",
    "desired_replicas",
    "ports",
    "paused",
    "next_poll",
    "last_poll",
    "last_error",
    "last_detail",
    "admin_port",
}


def tell(
    state: State, process: ProcessStatus | None, now: float = 1000.0
) -> dict[str, Any]:
    return status(
        state, now, name="app", command="server", root="/srv/app", process=process
    )


def test_status_of_a_running_dewy(state: State) -> None:
    """Scripts rely on every key being there."""
    generation = {"generation": 2, "pid": 8, "state": "ready", "since": 3, "status": ""}
    process = ProcessStatus(7, (), [generation], 1010.0, 990.0, "was slow")
    found = tell(state, process)

    assert KEYS == found.keys()
    assert found == json.loads(json.dumps(found))
    assert (7, __version__, True, []) == (
        found["pid"],
        found["dewy"],
        found["healthy"],
        found["degraded"],
    )
    assert {
        "tag": "v2",
        "identity": "two",
        "directory": "20310203T040507Z",
        "since": 2.0,
        "began": None,
        "ended": None,
    } == found["running"]
    assert "v1" == found["previous"]["tag"]
    assert [generation] == found["generations"]
    assert (1010.0, 990.0, "was slow") == (
        found["next_poll"],
        found["last_poll"],
        found["last_error"],
    )
    assert {
        "tag": "v3",
        "identity": "three",
        "reason": "died",
        "detail": "",
        "failures": 1,
        "at": 1000.0,
        "until": 1060.0,
        "outdated_by": "",
        "not_tried": "",
    } == found["quarantine"][0]


def test_version_in_quarantine_that_polls_do_not_try_is_told(state: State) -> None:
    found = tell(state, ProcessStatus(7, newest="v4"))

    expected = "not tried while v4 is what polls find"
    assert expected == found["quarantine"][0]["not_tried"]


def test_status_without_a_dewy(state: State) -> None:
    """The same keys; that none runs is what is wrong."""
    found = tell(state, None)

    assert KEYS == found.keys()
    assert found["pid"] is None
    assert not found["healthy"]
    assert ["no dewy runs in this root"] == found["degraded"]


def test_degraded_dewy_is_reported_unhealthy(state: State) -> None:
    """`status --check` goes by this."""
    found = tell(state, ProcessStatus(7, ["the program is down"]))

    assert not found["healthy"]
    assert ["the program is down"] == found["degraded"]
    assert ["nothing is deployed"] == tell(State(), ProcessStatus(7))["degraded"]


def test_deliberate_states_need_attention_and_are_well(state: State) -> None:
    """Hold, pause and rollback: somebody wanted them so."""
    quarantine = Quarantine().add("v3", "three", BY_OPERATOR, Clock(), traffic=True)
    steered = replace(state, hold=True, quarantine=quarantine)
    found = tell(steered, ProcessStatus(7, paused=True))

    assert (True, []) == (found["healthy"], found["degraded"])
    for word in ("`dewy unhold`", "`dewy resume`", "v3 was rolled back"):
        assert any(word in phrase for phrase in found["attention"])


def test_notifier_that_fails_needs_attention(state: State) -> None:
    trouble = "notifier https://hooks.test fails: hooks.test answered 500"
    found = tell(state, ProcessStatus(7, troubles=[trouble]))

    assert (True, [trouble]) == (found["healthy"], found["attention"])


def test_deadline_beyond_any_is_due(state: State) -> None:
    """As it is when it is acted on."""
    assert -10000.0 == tell(state, None, now=-10000.0)["quarantine"][0]["until"]


def test_broken_state_is_told(state: State) -> None:
    found = status(
        state,
        1000.0,
        name="app",
        command="server",
        root="/srv/app",
        process=ProcessStatus(7),
        broken=[Path("/srv/app/.dewy/state.json.broken-1")],
    )

    (degraded,) = found["degraded"]
    assert "/srv/app/.dewy/state.json.broken-1 could not be read" in degraded


def test_running_version_has_begin_and_end_of_its_deployment(state: State) -> None:
    """As the history has them; whatever else was recorded of that version."""
    row = {"tag": "v2", "action": "deploy", "outcome": "deployed"}
    rows = [
        {**row, "action": "reload", "outcome": "reloaded", "at": 9.0, "seconds": 1.0},
        {**row, "outcome": "failed", "at": 8.0, "seconds": 1.0},
        {**row, "at": 7.5, "seconds": 4.5},
        {**row, "at": 2.0, "seconds": 1.0},
    ]
    found = status(
        state,
        1000.0,
        name="app",
        command="server",
        root="/srv/app",
        process=None,
        past=rows,
    )

    assert (3.0, 7.5) == (found["running"]["began"], found["running"]["ended"])
    assert found["previous"]["began"] is None
