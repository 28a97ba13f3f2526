"""`dewy container`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.config import PortMapping, Settings
from tests.cli.conftest import Dewy

SAID = ("container", "--registry", "img://ghcr.io/acme/shop", "-p", "8080:80")


def test_daemon_gets_settings_from_options_and_file(
    dewy: Dewy, served: list[Settings], root: Path
) -> None:
    """With the words after the dashes as they are, and what is to be said of them."""
    (root / "dewy.toml").write_text("replicas = 3\nruntime = 'podman'\n")
    ended = dewy(*SAID, "-n", "web", "--cmd=-v", "--", "-e", "A=b", "--restart=no")

    assert 0 == ended.status
    assert ("container", 3, "podman", "web", ("-v",)) == (
        served[0].command,
        served[0].replicas,
        served[0].runtime,
        served[0].name,
        served[0].cmd,
    )
    assert (PortMapping(8080, 80),) == served[0].port_mappings
    assert ("-e", "A=b", "--restart=no") == served[0].run_options
    assert ("run option --restart has no effect: dewy restarts replicas",) == (
        served[0].cautions
    )


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("-qt",), "-t cannot be used"),
        (("--privileged",), "--privileged cannot be used"),
        (("nginx:latest",), "only options of `docker run` stand after --"),
        (("-m", "much"), "run option -m 'much' must be a size"),
        (("--env-file", "none"), "cannot be read: No such file"),
    ],
)
def test_bad_run_options_start_nothing(
    dewy: Dewy, served: list[Settings], words: tuple[str, ...], right: str
) -> None:
    """One line, exit status 2."""
    ended = dewy(*SAID, "--", *words)

    assert (2, "", 1) == (ended.status, ended.out, ended.err.count("\n"))
    assert right in ended.err
    assert [] == served


def test_registry_and_port_are_required(dewy: Dewy, served: list[Settings]) -> None:
    """Told one after the other."""
    assert "needs a registry" in dewy("container").err
    assert "needs a --port" in dewy(*SAID[:3]).err
    assert [] == served


@pytest.mark.parametrize("mode", ["server", "container"])
def test_help_states_the_condition_of_the_promise(dewy: Dewy, mode: str) -> None:
    """Beside it: what only the program can do."""
    text = " ".join(dewy(mode, "--help").out.split())

    assert "No request is lost if" in text
    assert "finishes its open requests on SIGTERM" in text


def test_readme_states_the_condition_of_the_promise() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, _, after = text.partition("Two promises stand above everything")

    assert "on SIGTERM it must finish its open requests" in after[:600]
