"""The command `dewy` itself."""

from __future__ import annotations

import json
import sys

import click
import pytest

from dewy import __version__, loop
from dewy._speedups import COMPILED
from dewy.cli.group import COMMANDS
from dewy.cli.group import dewy as group
from tests.cli.conftest import Dewy


@pytest.mark.parametrize(
    "words", [("--version",), ("-v",), ("server", "-v"), ("--slot", "x", "-v")]
)
def test_version_tells_relay_and_loop(dewy: Dewy, words: tuple[str, ...]) -> None:
    """Support questions get short."""
    ended = dewy(*words)

    assert (0, "") == (ended.status, ended.err)
    relay = "compiled" if COMPILED else "pure Python"
    assert f"dewy version: {__version__} [{relay}, {loop.name()}]\n" == ended.out


@pytest.mark.parametrize(
    "words",
    [("--version", "--log-format", "json"), ("server", "-f=json", "-v")],
)
def test_version_is_a_log_record_where_logs_are_json(
    dewy: Dewy, words: tuple[str, ...]
) -> None:
    """As the original prints it."""
    ended = dewy(*words)

    told = json.loads(ended.err)
    assert (0, "", "INFO") == (ended.status, ended.out, told["level"])
    assert ("Dewy version", __version__) == (told["msg"], told["version"])


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_the_commands(dewy: Dewy, word: str) -> None:
    """It is what was asked for, so the exit status is 0."""
    ended = dewy(word)

    assert 0 == ended.status
    assert [] == [name for name in COMMANDS if f"\n  {name} " not in ended.out]


def test_help_marks_required_options_and_explains_readiness(dewy: Dewy) -> None:
    assert "to deploy from; required" in dewy("server", "--help").out
    for name in COMMANDS:
        if name not in ("server", "assets", "container", "check", "init"):
            assert "required" not in dewy(name, "--help").out
    assert "-n COUNT" in dewy("history", "--help").out
    text = " ".join(dewy("container", "--help").out.split())
    assert "connections as soon as it is healthy, so both versions serve" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(dewy: Dewy, name: str) -> None:
    """In its own help and in a line of the list."""
    context = click.Context(group)
    command = group.get_command(context, name)

    assert command is not None
    assert name == command.name
    assert command.short_help
    assert (0, "") == (lambda e: (e.status, e.err))(dewy(name, "-h"))


def test_command_is_imported_when_used(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not used is not waited for."""
    monkeypatch.delitem(sys.modules, "dewy.cli.history", raising=False)
    dewy("--version")
    assert "dewy.cli.history" not in sys.modules
    dewy("history")
    assert "dewy.cli.history" in sys.modules


@pytest.mark.parametrize(
    ("word", "hint"),
    [("sever", "did you mean server?"), ("zzz", "known: demo, server")],
)
def test_unknown_command_error_suggests_similar_command(
    dewy: Dewy, word: str, hint: str
) -> None:
    """On one line, with exit status 2."""
    ended = dewy(word)

    assert (2, "") == (ended.status, ended.out)
    assert hint in ended.err
    assert 1 == ended.err.count("\n")


def test_no_command_is_a_usage_error(dewy: Dewy) -> None:
    """A unit file without one is misconfigured."""
    ended = dewy()

    assert 2 == ended.status
    assert "see dewy --help" in ended.err


def test_container_list_subcommand_shows_its_help(dewy: Dewy) -> None:
    """Where the word stands right behind it."""
    ended = dewy("container", "list", "--help")

    assert 0 == ended.status
    assert "Usage: dewy container list [OPTIONS]" in ended.out
    assert "--watch" in ended.out
