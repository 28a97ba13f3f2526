"""`dewy ps`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dewy.admin.discovery import Instance
from dewy.cli.ps import table
from tests.cli.conftest import Dewy
from tests.standins.admin_api import admin_apis, status

SHOP = status(
    2, name="shop", current_version="v2", pid=7, healthy=True, root="/srv/shop"
)


def test_every_dewy_has_its_line() -> None:
    """Of one that tells less, less is shown."""
    blog = status(0, name="blog", healthy=False)

    assert [
        "NAME  COMMAND    VERSION  PID  PORT   HEALTHY  ROOT",
        "shop  container  v2       7    17539  yes      /srv/shop",
        "blog  server     -        -    17540  no       -",
        "-     assets     -        -    17541  -        -",
    ] == table(
        [Instance(17539, SHOP), Instance(17540, blog), Instance(17541, status(1))]
    )


def test_all_ports_are_asked(dewy: Dewy) -> None:
    """Those in between that nobody answers on are no hindrance."""
    with admin_apis({"/api/status": SHOP}, None, {"/api/status": SHOP}) as first:
        ended = dewy("ps", "--admin-port", str(first))
        machine = dewy("ps", "--admin-port", str(first), "--json")

    assert 2 == ended.out.count("/srv/shop")
    assert [first, first + 2] == [each["port"] for each in json.loads(machine.out)]


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other dewys of this host are not asked."""
    monkeypatch.setattr("dewy.admin.discovery.SOCKETS", tmp_path / "none")


def test_none_is_an_answer(dewy: Dewy) -> None:
    """Nothing failed."""
    with admin_apis({}) as first:
        ended = dewy("ps", "--admin-port", str(first))

    assert (0, "no dewy answers on this host\n") == (ended.status, ended.out)
