"""From settings to the rules for unpacking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dewy.config import Settings
from dewy.daemon.assets import rules_of
from dewy.deploy.archive import ArchiveLimits

ROOT = Path("/srv/app")


def settings(command: str = "server", **fields: Any) -> Settings:
    fields.setdefault("registry", "file:///srv/releases")
    return Settings(command=command, root=ROOT, cache_dir=ROOT, **fields)


def test_limits_are_those_of_the_settings() -> None:
    rules = rules_of(
        settings(archive_max_bytes=1, archive_max_ratio=2, archive_max_entries=3)
    )

    assert ArchiveLimits(entries=3, total=1, ratio=2) == rules.limits
    assert ArchiveLimits() == rules_of(settings()).limits


@pytest.mark.parametrize(
    ("command", "said", "expected"),
    [
        ("server", "auto", True),
        ("assets", "auto", False),
        ("server", "refuse", False),
        ("assets", "allow", True),
    ],
)
def test_absolute_links_rule_depends_on_command_and_option(
    command: str, said: str, expected: bool
) -> None:
    """The program of a release may do anything; files are served to anybody."""
    assert expected is rules_of(settings(command, absolute_links=said)).absolute_links


@pytest.mark.parametrize(
    ("query", "expected"), [("", 0), ("?strip=1", 1), ("?artifact=x&STRIP=2", 2)]
)
def test_registry_says_how_much_is_left_out(query: str, expected: int) -> None:
    rules = rules_of(settings(registry=f"file:///srv/releases{query}"))

    assert expected == rules.strip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["current/app"], "app"),
        (["./current/bin/../app", "-c", "current/conf"], "app"),
        (["/srv/app/current/bin/app"], "bin/app"),
        (["nice", "-n", "5", "current/app"], "app"),
        (["current/../etc/app"], ""),
        (["current"], ""),
        (["/usr/bin/app"], ""),
        ([], ""),
    ],
)
def test_program_is_the_first_word_in_the_release(
    words: list[str], expected: str
) -> None:
    assert expected == rules_of(settings(program=tuple(words))).program
