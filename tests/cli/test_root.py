"""`-C`: every command in another root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dewy.admin.discovery import Instance
from dewy.cli.group import COMMANDS, NAMED
from dewy.config import Settings
from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[Instance]:
    """The dewys of this host."""
    found: list[Instance] = []

    async def everywhere(first: int) -> list[Instance]:
        return found

    monkeypatch.setattr("dewy.admin.discovery.everywhere", everywhere)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_root(dewy: Dewy, command: str) -> None:
    """And says so."""
    assert "-C, --root DIR" in dewy(command, "--help").out


@pytest.mark.parametrize("spelled", ["-C {}", "-C={}", "--root {}", "--root={}"])
@pytest.mark.parametrize("before", [True, False])
def test_command_works_in_the_directory_that_is_named(
    dewy: Dewy,
    worked: StateFile,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    spelled: str,
    before: bool,
) -> None:
    """Wherever it was called."""
    monkeypatch.chdir("/")
    words = spelled.format(root).split()
    ended = (
        dewy(*words, "status", "--json") if before else dewy("status", "--json", *words)
    )

    assert (str(root), "v2") == (
        (told := json.loads(ended.out))["root"],
        told["running"]["tag"],
    )


@pytest.mark.parametrize("command", sorted(NAMED - {"doctor"}))
def test_name_may_follow_a_command_that_takes_no_other_word(
    dewy: Dewy,
    worked: StateFile,
    root: Path,
    running: list[Instance],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """`dewy status shop`, wherever it is called."""
    monkeypatch.chdir("/")
    running.append(Instance(2, {"name": "shop", "root": str(root)}))
    dewy(command, "shop")

    assert root == Path.cwd()


def test_name_that_nothing_has_is_told(dewy: Dewy, running: list[Instance]) -> None:
    ended = dewy("status", "shop")

    assert 2 == ended.status
    assert "error: shop: there is no such directory, and no dewy of that" in ended.err


def test_file_of_options_is_that_of_the_directory(
    dewy: Dewy, served: list[Settings], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon works there, too."""
    (root / "dewy.toml").write_text("registry = 'mem://y'\n")
    monkeypatch.chdir("/")
    assert 0 == dewy("-C", str(root), "assets").status

    assert (root, "mem://y") == (served[0].root, served[0].registry)


def test_root_option_accepts_name_of_running_dewy(
    dewy: Dewy,
    worked: StateFile,
    root: Path,
    running: list[Instance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `dewy ps` shows it."""
    monkeypatch.chdir("/")
    running += [
        Instance(1, {"name": "blog", "root": "/srv/blog"}),
        Instance(2, {"name": "shop", "root": str(root)}),
    ]
    ended = dewy("-C", "shop", "status", "--json")

    assert str(root) == json.loads(ended.out)["root"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("/no/such", "no such file or directory"),
        ("nothing", "no dewy of that name runs"),
        ("twice", "run in /srv/a, /srv/b"),
    ],
)
def test_unknown_or_ambiguous_root_is_refused(
    dewy: Dewy, running: list[Instance], value: str, reason: str
) -> None:
    """With status 2; nothing is done elsewhere instead."""
    running += [Instance(0, {"name": "twice", "root": f"/srv/{r}"}) for r in "ab"]
    ended = dewy("status", "-C", value)

    assert 2 == ended.status
    assert reason in ended.err


@pytest.mark.parametrize(
    "words",
    [("-C", "", "hold"), ("hold", "--root="), ("hold", ""), ("status", "-C", "")],
)
def test_empty_root_is_refused(
    dewy: Dewy, worked: StateFile, words: tuple[str, ...]
) -> None:
    """It is what a variable that is not set leaves, and the root at hand not meant."""
    before = worked.read()
    ended = dewy(*words)

    assert (2, "") == (ended.status, ended.out)
    assert (
        "must be a directory, or the name of a dewy that runs, not empty" in ended.err
    )
    assert before == worked.read()
