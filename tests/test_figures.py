"""The figures in CONTRIBUTING.md are those of the code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+) \|$", re.M)

SLACK, LEAST_SLACK = 0.05, 10
"""The worsening that asks for no new table: a part of the figure, or a count."""

# Wheels may be tested without the rest of the checkout.
pytestmark = pytest.mark.skipif(not (ROOT / "dev").is_dir(), reason="no checkout")


@pytest.fixture(scope="module")
def figures() -> list[tuple[str, int, str]]:
    """Return title, figure and limit of each row, as the script counts now."""
    counted = script("figures")
    return counted["figures"](counted["parsed"]("dewy"), counted["parsed"]("tests"))


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "dev" / name))


def table(head: str) -> list[list[str]]:
    """Return the cells of the table under *head*."""
    _, _, rest = PAGE.partition(f"| {head} |\n")
    rows = ROW.findall(rest.partition("\n\n")[0])
    return [row.split(" | ") for row in rows[1:]]


def test_table_of_figures_has_the_rows_that_are_printed(
    figures: list[tuple[str, int, str]],
) -> None:
    assert [(title, limit) for title, _, limit in figures] == [
        (title, limit) for title, _, limit in table("figure | now | limit")
    ]


def test_no_figure_is_worse_than_in_the_table(
    figures: list[tuple[str, int, str]],
) -> None:
    """Or the table is written anew, where a reviewer sees it."""
    written = {
        title: int(now.replace(",", ""))
        for title, now, _ in table("figure | now | limit")
    }
    worse = [
        f"{title}: {now}, not {written[title]}; see make figures ARGS=--write"
        for title, now, _ in figures
        if now > max(written[title] * (1 + SLACK), written[title] + LEAST_SLACK)
    ]

    assert [] == worse


def test_table_of_rooms_names_every_room_with_enough_seen() -> None:
    rooms = script("rooms")
    written = table("room | files | branches covered | mutants killed")
    shares = {
        room: [float(re.findall(r"([\d.]+) %", cell)[0]) for cell in cells]
        for room, _, *cells in written
    }

    assert {
        room: ", ".join(f"`{name}.py`" for name in names)
        for room, names in rooms["ROOMS"].items()
    } == {room: files for room, files, *_ in written}
    assert {} == {
        room: found
        for room, found in shares.items()
        if found[0] < rooms["BRANCHES"] or found[1] < rooms["MUTANTS"]
    }
