"""Handing over to the daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dewy.config import Settings
from tests.cli.conftest import Dewy


def test_cautions_are_logged_once(dewy: Dewy, served: list[Settings]) -> None:
    """After logs are configured, as they were asked for."""
    ended = dewy(
        "assets", "--registry", "mem://x", "--otlp-insecure", "--log-format", "json"
    )

    assert 1 == len(served)
    assert 1 == ended.err.count("has no effect without")
    assert '"level": "WARN"' in ended.err


def test_low_port_is_warned_about(dewy: Dewy, served: list[Settings]) -> None:
    """It usually takes a privilege."""
    ended = dewy("server", "--registry", "mem://x", "-p", "80", "--", "./app")

    assert "level=WARN" in ended.err
    assert "port 80 is below 1024" in ended.err


@pytest.mark.parametrize(("level", "shown"), [("warn", True), ("error", False)])
def test_log_level_counts_from_the_start(
    dewy: Dewy, served: list[Settings], level: str, shown: bool
) -> None:
    """What is below it is not written."""
    ended = dewy("assets", "--registry", "mem://x", "--otlp-insecure", "-l", level)

    assert shown is bool(ended.err)


@pytest.mark.parametrize(
    "words", [("server", "--", "./app"), ("assets",)], ids=["server", "assets"]
)
def test_reload_can_read_the_file_once_more(
    dewy: Dewy, root: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    readers: list[Callable[[], Settings]] = []

    async def run(given: Settings, reread: Callable[[], Settings], *_: object) -> int:
        readers.append(reread)
        return 0

    monkeypatch.setattr("dewy.daemon.run", run)
    (root / "dewy.toml").write_text('registry = "mem://old"\n')

    assert 0 == dewy(*words).status
    (root / "dewy.toml").write_text('registry = "mem://new"\n')
    assert ["mem://new"] == [reread().registry for reread in readers]
