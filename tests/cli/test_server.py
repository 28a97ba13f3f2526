"""`dewy server`."""

from __future__ import annotations

from pathlib import Path

from dewy.config import Settings
from tests.cli.conftest import Dewy


def test_daemon_gets_settings_from_options_and_file(
    dewy: Dewy, served: list[Settings], root: Path
) -> None:
    """From flags and dewy.toml alike."""
    (root / "dewy.toml").write_text("registry = 'mem://x'\nport = 8080\n")
    ended = dewy("server", "--keep", "3", "--", "./app", "--verbose")

    assert 0 == ended.status
    assert ("server", root, "mem://x", 3) == (
        served[0].command,
        served[0].root,
        served[0].registry,
        served[0].keep,
    )
    assert ("./app", "--verbose") == served[0].program


def test_program_is_required(dewy: Dewy, served: list[Settings]) -> None:
    """Nothing is started without one."""
    ended = dewy("server", "--registry", "mem://x")

    assert 2 == ended.status
    assert "needs a program" in ended.err
    assert [] == served
