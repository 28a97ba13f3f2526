"""Options, wherever and however they are written."""

from __future__ import annotations

import click
import pytest

from dewy.cli.arguments import normalise
from dewy.config import Settings
from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy

REGISTRY = ("--registry", "mem://x")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-i=5"], ["-i5"]),
        (["-p=8080,8081", "x"], ["-p8080,8081", "x"]),
        (["-i=-5"], ["-i-5"]),
        (["-s="], ["-s", ""]),
        (["-i", "5"], ["-i", "5"]),
        (["-i5", "--slot=-x"], ["-i5", "--slot=-x"]),
        (["--interval", "-5"], ["--interval", "-5"]),
        (["--slot", "-"], ["--slot", "-"]),
        (["--slot"], ["--slot"]),
        (["server", "--", "-i=5", "--slot", "-x"],) * 2,
        (["--slot", "-i=5"], None),
        (["--registry", "--cache"], None),
        (["--registry", "--"], None),
    ],
)
def test_short_options_take_an_equals_sign(
    words: list[str], expected: list[str] | None
) -> None:
    """And a value that looks like an option is taken for a forgotten value."""
    if expected is None:
        with pytest.raises(click.UsageError, match="needs a value"):
            normalise(words)
    else:
        assert expected == normalise(words)


@pytest.mark.parametrize(
    "words",
    [
        (*REGISTRY, "-i", "5m", "server", "--", "./app", "-i=7"),
        ("server", *REGISTRY, "-i=5m", "--", "./app", "-i=7"),
        ("-i5m", "server", *REGISTRY, "--", "./app", "-i=7"),
        ("-i", "1s", "server", *REGISTRY, "--interval=5m", "--", "./app", "-i=7"),
    ],
)
def test_options_stand_before_or_after_the_command(
    dewy: Dewy, served: list[Settings], words: tuple[str, ...]
) -> None:
    """With one meaning; of two the later counts, and the program's are its own."""
    assert 0 == dewy(*words).status
    assert ("mem://x", 300.0, ("./app", "-i=7")) == (
        served[0].registry,
        served[0].interval,
        served[0].program,
    )


def test_lists_are_joined(dewy: Dewy, served: list[Settings]) -> None:
    """From before and after the command."""
    dewy("-p", "1", *REGISTRY, "server", "-p=3,2", "--port", "4", "--", "./app")

    assert [1, 2, 3, 4] == [address.port for address in served[0].ports]


def test_flags_may_stand_before_the_command(dewy: Dewy, served: list[Settings]) -> None:
    """On is on, wherever it is said."""
    dewy("--no-rollback", *REGISTRY, "server", "--once", "--", "./app")

    assert (False, True, True) == (
        served[0].rollback,
        served[0].once,
        served[0].capture,
    )


def test_program_may_follow_without_dashes(dewy: Dewy, served: list[Settings]) -> None:
    """As the original had it."""
    dewy(*REGISTRY, "server", "./app", "-s", "blue", "argument")

    assert ("./app", "argument") == served[0].program
    assert "blue" == served[0].slot


@pytest.mark.parametrize(
    "words", [("--port", "80", "assets", *REGISTRY), ("assets", "--port", "80")]
)
def test_option_of_another_command_is_refused(
    dewy: Dewy, served: list[Settings], words: tuple[str, ...]
) -> None:
    """Ignoring it would hide a mistake."""
    ended = dewy(*words)

    assert 2 == ended.status
    assert "--port" in ended.err
    assert [] == served


def test_flag_takes_no_value(dewy: Dewy) -> None:
    """`--once=true` is a parse error, as it always was."""
    assert 2 == dewy("server", "--once=true").status


def test_help_of_a_command_lists_what_it_takes(dewy: Dewy) -> None:
    """Each with its default."""
    ended = dewy("server", "--help")

    assert 0 == ended.status
    assert "--start-timeout TIME" in ended.out
    assert "[default: 60s]" in " ".join(ended.out.split())


@pytest.mark.parametrize("command", ["deploy", "retry", "rollback", "why"])
@pytest.mark.parametrize("version", ["", " "])
def test_empty_version_is_not_taken_for_none(
    dewy: Dewy, worked: StateFile, command: str, version: str
) -> None:
    """It is what a variable that is not set leaves."""
    before = worked.read()
    ended = dewy(command, version, *REGISTRY)

    assert (2, "") == (ended.status, ended.out)
    assert "'[VERSION]'" in ended.err or "'VERSION'" in ended.err
    assert before == worked.read()
