"""What the hosted runners and `.ci/run` are told to run is there to be run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / ".github").rglob("*.yml"))]

# The sdist, from which an installed wheel is tested, does without them.
pytestmark = pytest.mark.skipif(not SCRIPTS[0].exists(), reason="no checkout")

COMMAND = re.compile(
    r"^(?:\s*(?:- )?run: )?(?:sudo )?(make|dev/[\w-]+)\b ?([\w-]*)", re.M
)
TARGET = re.compile(r"^([a-z-]+):", re.M)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_commands_are_there(script: Path) -> None:
    """Nobody notices before a push to the default branch otherwise."""
    targets = TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
    commands = COMMAND.findall(script.read_text(encoding="utf-8"))

    for command, argument in commands:
        if command == "make":
            assert argument in targets
        else:
            assert os.access(ROOT / command, os.X_OK), command
    assert commands or script.name == "wheels.yml"


def test_checks_are_the_same_wherever_they_run() -> None:
    """Style, packaging and the installed wheel, with nothing left out."""
    ours = SCRIPTS[0].read_text(encoding="utf-8")
    hosted = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")

    for part in ("dev/install-services", "make lint", "make test", "check-wheel"):
        assert part in ours
        assert part in hosted
    assert "DEWY_TEST_REQUIRE=all" in ours
    assert "DEWY_TEST_REQUIRE: all" in hosted
