"""What the hosted runners and `.ci/run` are told to run is there to be run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.needs import needs

ROOT = Path(__file__).parent.parent
SCRIPTS = [ROOT / ".ci" / "run", *sorted(ROOT.glob(".github/workflows/*.yml"))]

# The sdist, from which an installed wheel is tested, does without them.
pytestmark = pytest.mark.skipif(not SCRIPTS[0].exists(), reason="no checkout")

COMMAND = re.compile(
    r"^\s*(?:- )?(?:run: )?(?:sudo )?(?:\w+=\S+ )?(make|dev/[\w-]+)\b(.*)$", re.M
)
TARGET = re.compile(r"^([a-z-]+|\$\(VENV\)/[.\w%-]+):", re.M)


def commands_of(script: Path) -> list[tuple[str, list[str]]]:
    """Calls of make with their targets, and of scripts in `dev/`."""
    text = script.read_text(encoding="utf-8")
    return [(command, targets(words)) for command, words in COMMAND.findall(text)]


def targets(words: str) -> list[str]:
    plain = re.sub(r"--jobs \d+", "", words)
    return [it for it in shlex.split(plain) if not it.startswith("-") and "=" not in it]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_commands_are_there(script: Path) -> None:
    """Nobody notices before a push to the default branch otherwise."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = [it.replace("$(VENV)", ".venv") for it in TARGET.findall(makefile)]
    commands = commands_of(script)

    for command, arguments in commands:
        if command == "make":
            assert arguments
            for target in arguments:
                assert {target, re.sub(r"-\w+$", "-%", target)} & {*known}, target
        else:
            assert os.access(ROOT / command, os.X_OK), command
    assert commands or script.name == "wheels.yml"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_constraints_hold_wherever_packages_are_installed(script: Path) -> None:
    """Directly, that is; `make` and `dev/check-wheel` see to it themselves."""
    text = script.read_text(encoding="utf-8")
    calls = re.findall(r"pip install\b[^&|;\n]*", text)

    assert [] == [call for call in calls if "--constraint constraints.txt" not in call]


@needs("make")
def test_make_installs_constrained_versions() -> None:
    """For building as for running; pip reads both variables."""
    recipe = 'shown: ; @echo "$$PIP_CONSTRAINT $$PIP_BUILD_CONSTRAINT"'
    given = {
        key: it for key, it in os.environ.items() if key[:4] not in ("PIP_", "MAKE")
    }
    done = subprocess.run(
        ["make", "--no-print-directory", "--eval", recipe, "shown"],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert f"{ROOT}/constraints.txt {ROOT}/constraints.txt\n" == done.stdout


def test_checks_are_the_same_wherever_they_run() -> None:
    """Style, packaging and the installed wheel, with nothing left out."""
    ours = SCRIPTS[0].read_text(encoding="utf-8")
    workflow = ROOT / ".github/workflows/ci.yml"
    hosted = workflow.read_text(encoding="utf-8")

    for script in (SCRIPTS[0], workflow):
        calls = commands_of(script)
        programs = {command for command, _ in calls}
        made = {it for command, words in calls if command == "make" for it in words}
        assert {"lint", "test"} <= made
        assert {"dev/install-services", "dev/write-grpc"} <= programs
        assert "check-wheel" in made or "dev/check-wheel" in programs
    assert "DEWY_TEST_REQUIRE=all" in ours
    assert "DEWY_TEST_REQUIRE: all" in hosted
