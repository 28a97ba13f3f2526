"""`dewy init`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from dewy.config import resolve
from dewy.config.settings import options_of
from tests.cli.conftest import Dewy

REGISTRY = "img://ghcr.io/acme/shop"


def test_init_writes_given_options_and_comments_out_others(
    dewy: Dewy, root: Path
) -> None:
    words = ("--registry", REGISTRY, "--port", "8080:80", "--replicas", "3")
    notifiers = ("--notifier", 'slack://ops?title="a"', "--notifier", "mail://x@y.test")
    ended = dewy("init", *words, *notifiers, "--no-rollback")
    text = (root / "dewy.toml").read_text()

    assert (0, "") == (ended.status, ended.err)
    assert "next:  dewy check container" in ended.out
    assert {
        "registry": REGISTRY,
        "port": "8080:80",
        "replicas": 3,
        "notifier": ['slack://ops?title="a"', "mail://x@y.test"],
        "no-rollback": True,
    } == tomllib.loads(text)
    names = set(re.findall(r"^(?:# )?([a-z-]+) = ", text, re.MULTILINE))
    wanted = {option.name for option in options_of("container")}
    assert wanted - {"config", "once"} == names


@pytest.mark.parametrize("mode", ["server", "assets", "container"])
def test_comments_are_valid_once_uncommented(dewy: Dewy, root: Path, mode: str) -> None:
    registry = REGISTRY if mode == "container" else "file:///srv/releases"
    port = ("--port", "8080") if mode != "assets" else ()
    dewy("init", mode, "--registry", registry, *port)
    text = (root / "dewy.toml").read_text()
    shown = re.sub(r"^# ([a-z-]+ = (?!\"\"$))", r"\1", text, flags=re.MULTILINE)
    (root / "dewy.toml").write_text(shown)
    program = {"program": ("app",)} if mode == "server" else {}
    plain = resolve(
        mode, {"registry": [registry], "port": [*port[1:]], **program}, {}, root
    )

    assert shown.count("\n# ") < text.count("\n# ")
    assert registry == plain.registry


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("--registry", REGISTRY, "--port", "80"), "container"),
        (("--registry", "ghr://a/b", "--port", "80"), "server"),
        (("--registry", "ghr://a/b"), "assets"),
    ],
)
def test_init_suggests_command_matching_options(
    dewy: Dewy, words: tuple[str, ...], mode: str
) -> None:
    assert f"then:  dewy {mode}" in dewy("init", *words).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "needs to know what for: dewy init server, assets or container"),
        (("server",), "server needs a registry"),
        (("--registry", "ghr://a/b", "--port", "99999"), "--port '99999' must hold"),
        (("assets", "--registry", "ghr://a/b", "--replicas", "2"), "no option --repl"),
        (("server", "--registry", REGISTRY), "cannot run the images"),
    ],
)
def test_mistake_writes_nothing(
    dewy: Dewy, root: Path, words: tuple[str, ...], told: str
) -> None:
    ended = dewy("init", *words)

    assert 2 == ended.status
    assert told in ended.err
    assert not (root / "dewy.toml").exists()


def test_file_that_is_there_stays_unless_forced(dewy: Dewy, root: Path) -> None:
    """Be it broken."""
    (root / "dewy.toml").write_text("mine = = 1\n")
    ended = dewy("init", "--registry", "ghr://a/b")
    assert (2, "mine = = 1\n") == (ended.status, (root / "dewy.toml").read_text())
    assert "--force writes over it" in ended.err

    assert 0 == dewy("init", "--registry", "ghr://a/b", "--force").status
    assert "ghr://a/b" == tomllib.loads((root / "dewy.toml").read_text())["registry"]


def test_init_on_terminal_prompts_for_missing_options(
    dewy: Dewy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was given is not."""
    answers = {"--port": "8080", "--replicas": "2", "--health-path": ""}
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text.splitlines()[-1].split()[0])
        return answers[asked[-1]]

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("click.prompt", prompt)
    ended = dewy("init", "container", "--registry", REGISTRY)

    assert 0 == ended.status, ended.err
    assert set(answers) == set(asked)
    assert {"registry": REGISTRY, "port": 8080, "replicas": 2} == tomllib.loads(
        (root / "dewy.toml").read_text()
    )


def _typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Answer prompts on a terminal in turn; return what is left of *answers*."""
    left = list(answers)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: left.pop(0))
    return left


def test_command_is_asked_for_where_options_do_not_tell(
    dewy: Dewy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = _typed(monkeypatch, "", "daemon", "server", "ghr://a/b", "8080", "")
    ended = dewy("init")

    assert (0, []) == (ended.status, left), ended.err
    assert "then:  dewy server" in ended.out
    found = tomllib.loads((root / "dewy.toml").read_text())
    assert {"registry": "ghr://a/b", "port": 8080} == found


@pytest.mark.parametrize(
    ("mode", "answers", "told"),
    [
        ("assets", ("nonsense", "ghr://a/b"), "not of the form scheme://"),
        ("server", (REGISTRY, "ghr://a/b", "", ""), "cannot run the images"),
        ("server", ("ghr://a/b", "x", "80", "up", "/up"), "--port 'x' must hold"),
        ("container", (REGISTRY, "", "80", "many", "2", ""), "--replicas 'many'"),
        ("server", ("ghr://a/b", "", "/up", ""), "needs a --port to ask"),
    ],
)
def test_mistake_on_a_terminal_is_told_and_asked_again(
    dewy: Dewy,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    answers: tuple[str, ...],
    told: str,
) -> None:
    left = _typed(monkeypatch, *answers)
    ended = dewy("init", mode)

    assert (0, []) == (ended.status, left), ended.err
    assert told in ended.out + ended.err
    assert (root / "dewy.toml").exists()
