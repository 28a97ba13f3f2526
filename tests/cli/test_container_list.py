"""`dewy container list`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from dewy.admin.discovery import Instance
from dewy.cli.container_list import chosen, table
from dewy.errors import DewyError
from tests.cli.conftest import Dewy
from tests.standins.admin_api import Answers, admin_apis, status

LIST = ("container", "list", "--admin-port")
SHOP = {
    "name": "shop-1-0",
    "ip_port": "127.0.0.1:49152",
    "deployed_at": "2031-02-03T04:05:06",
}


def api(*containers: Any) -> Answers:
    """What a dewy in container mode answers."""
    listed = {"containers": list(containers) or None}
    return {"/api/status": status(2), "/api/containers": listed}


def test_containers_are_shown_by_name() -> None:
    """In the columns of the original."""
    other = {**SHOP, "name": "shop-1-1", "ip_port": "127.0.0.1:8"}

    assert [
        "UPSTREAM           DEPLOY TIME            NAME",
        "127.0.0.1:49152    2031-02-03 04:05:06    shop-1-0",
        "127.0.0.1:8        2031-02-03 04:05:06    shop-1-1",
    ] == table([other, SHOP])


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00+09:00"])
def test_row_with_invalid_time_is_still_shown(text: str) -> None:
    """The rest of the line is of use all the same."""
    assert table([{**SHOP, "deployed_at": text}])[1].endswith("shop-1-0")


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever zone and precision they were told in."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        line = table([{**SHOP, "deployed_at": "2031-02-03T04:05:06.123456789Z"}])[1]
    finally:
        monkeypatch.undo()
        time.tzset()

    assert "2031-02-03 13:05:06" in line


def test_first_dewy_with_containers_is_asked(dewy: Dewy) -> None:
    """And named if it is not where it was looked for first."""
    with admin_apis({"/api/status": status(0)}, api(SHOP), api()) as first:
        ended = dewy(*LIST, str(first))

    assert 0 == ended.status
    assert f"\n\n(Connected to admin API on port {first + 1})\n" in ended.out


def test_no_containers_are_told(dewy: Dewy) -> None:
    """Before the first deployment, too."""
    with admin_apis(api()) as first:
        assert "No containers found.\n" == dewy(*LIST, str(first)).out


def test_json_is_that_of_the_api(dewy: Dewy) -> None:
    """And nothing else."""
    with admin_apis(None, api(SHOP)) as first:
        ended = dewy(*LIST, str(first), "--json")

    assert {"containers": [SHOP]} == json.loads(ended.out)


def test_no_dewy_is_a_failure(dewy: Dewy) -> None:
    """With the ports that were tried."""
    with admin_apis({"/api/status": status(0)}) as first:
        ended = dewy(*LIST, str(first))

    expected = f"no running dewy found (tried ports {first}-{first + 9})"
    assert (1, "") == (ended.status, ended.out)
    assert f"dewy: error: {expected}\n" == ended.err


def test_watch_repeats_until_keyboard_interrupt(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a restart of dewy; Ctrl-C is how it is meant to end."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("dewy.cli.output.time.sleep", sleep)
    with admin_apis(None, {}) as first:
        ended = dewy(*LIST, str(first), "--watch")

    assert (0, [2.0, 2.0]) == (ended.status, pauses)
    assert 2 == ended.out.count("no running dewy found")


def test_instance_is_chosen_by_mode() -> None:
    """Not the order alone."""
    found = [Instance(1, {"command": 1}), Instance(2, {"command": 2})]

    assert found[1] == chosen(found, 1)
    with pytest.raises(DewyError, match="tried ports 1-10"):
        chosen(found[:1], 1)
