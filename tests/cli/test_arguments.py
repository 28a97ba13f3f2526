"""Options, wherever and however they are written."""

from __future__ import annotations

import json
from pathlib import Path

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
    "words",
    [
        ("--keep", "3", "status", *REGISTRY),
        ("--max-parallel", "2", "assets", *REGISTRY),
        ("assets", "--max-parallel", "2", *REGISTRY),
    ],
)
def test_option_of_another_command_is_refused(
    dewy: Dewy, served: list[Settings], words: tuple[str, ...]
) -> None:
    """Ignoring it would hide a mistake."""
    ended = dewy(*words)

    assert 2 == ended.status
    assert words[0 if words[0].startswith("--") else 1] in ended.err
    assert [] == served


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("server", "--name", "x", "--replicas", "none"), "--name, --replicas"),
        (("--runtime", "lxc", "server", "--cmd=-c"), "--cmd, --runtime"),
        (("assets", "-p", "8080:80", "-n", "x"), "--port, --name"),
        (("--health-path", "up", "assets"), "--health-path"),
        (("container", "-c", "file:///tmp"), ""),
    ],
)
def test_flags_of_the_original_are_accepted_with_each_command(
    dewy: Dewy, served: list[Settings], words: tuple[str, ...], names: str
) -> None:
    """With one warning; their values are not judged."""
    container = "container" in words
    registry = ("--registry", "img://ghcr.io/acme/shop") if container else REGISTRY
    ended = dewy(*words, *registry, *(("-p", "80") if container else ()), "--", "./app")

    command = next(w for w in words if w in ("server", "assets", "container"))
    if names:
        assert (0, "") == (ended.status, ended.out)
        assert 1 == len(served)
        expected = {f"no effect with {command}: {names}"}
        assert expected == {c for c in served[0].cautions if "no effect" in c}
        assert 1 == ended.err.count("no effect with")
    else:
        assert "no effect" not in ended.err


def test_every_mistake_is_told_at_once(dewy: Dewy, served: list[Settings]) -> None:
    """A line each; what follows from one is not told again."""
    ended = dewy("server", "--port", "x", "--interval", "0", "--keep", "no")

    assert (2, []) == (ended.status, served)
    lines = ended.err.splitlines()
    named = ("--interval", "--keep", "--port", "a registry", "a program")
    assert len(named) == len(lines)
    for name in named:
        assert any(line.startswith("dewy: error: ") and name in line for line in lines)


@pytest.mark.parametrize("option", ["--log-level", "--log-format"])
def test_empty_log_option_means_its_default(
    dewy: Dewy, served: list[Settings], option: str
) -> None:
    """As of a variable that is not set."""
    dewy("assets", *REGISTRY, option, "")

    assert ("info", "text") == (served[0].log_level, served[0].log_format)


@pytest.mark.parametrize("value", ["0", "-1", "0s"])
@pytest.mark.parametrize("command", ["server", "assets"])
def test_health_timeout_of_zero_or_less_means_the_default(
    dewy: Dewy, served: list[Settings], value: str, command: str
) -> None:
    """The original accepts it."""
    dewy(command, *REGISTRY, "--health-timeout", value, "--", "./app")

    assert 30.0 == served[0].health_timeout


def test_flag_takes_no_value(dewy: Dewy) -> None:
    """`--once=true` is a parse error, as it always was."""
    assert 2 == dewy("server", "--once=true").status


def test_command_help_lists_options_with_defaults(dewy: Dewy) -> None:
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


@pytest.mark.parametrize("command", ["status", "history", "hold", "rollback", "unhold"])
def test_broken_file_of_options_stops_no_command_that_looks_or_helps(
    dewy: Dewy, worked: StateFile, root: Path, command: str
) -> None:
    """At 3 a.m. a half-edited file must not be in the way."""
    (root / "dewy.toml").write_text("replicas = = 3\n")
    ended = dewy(command)

    assert 0 == ended.status
    assert "dewy: warning: " in ended.err
    assert "dewy.toml is not TOML: " in ended.err
    assert ended.out


def test_wrong_values_in_file_and_environment_are_warned_of_too(
    dewy: Dewy, worked: StateFile, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "dewy.toml").write_text("log-level = 'loud'\nname = 'shop'\n")
    monkeypatch.setenv("DEWY_LOG_FORMAT", "xml")
    ended = dewy("status", "--json")

    assert "shop" == json.loads(ended.out)["name"]
    assert 2 == ended.err.count("dewy: warning: ")


def test_wrong_flag_is_an_error_all_the_same(dewy: Dewy, root: Path) -> None:
    (root / "dewy.toml").write_text("replicas = = 3\n")
    ended = dewy("status", "--log-level", "loud")

    assert 2 == ended.status
    assert "--log-level 'loud'" in ended.err


@pytest.mark.parametrize("command", ["server", "assets", "container", "check"])
def test_invalid_options_file_fails_commands_using_options(
    dewy: Dewy, root: Path, command: str
) -> None:
    (root / "dewy.toml").write_text("replicas = = 3\n")

    assert 2 == dewy(command).status
