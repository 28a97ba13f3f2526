"""What flags, environment and dewy.toml say, before it is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.config.resolve import Said, from_environment, from_file, from_flags
from dewy.errors import ConfigError, Mistakes


def toml(tmp_path: Path, text: str) -> dict[str, Said]:
    path = tmp_path / "dewy.toml"
    path.write_text(text, encoding="utf-8")
    return read(path)


def read(path: Path, *, required: bool = True) -> dict[str, Said]:
    mistakes = Mistakes()
    entries, _ = from_file(path, required=required, mistakes=mistakes)
    mistakes.check()
    return entries


def test_flags_are_texts_lists_or_true() -> None:
    """What was not given says nothing, and what is no option is not ours."""
    given = {
        "registry": "mem://x",
        "port": ("1", "2"),
        "once": True,
        "no-capture": False,
        "slot": None,
        "notifier": (),
        "program": ("./app",),
    }
    assert {
        "registry": Said("--registry", ("mem://x",)),
        "port": Said("--port", ("1", "2")),
        "once": Said("--once", ("true",)),
    } == from_flags(given)


def test_environment_speaks_in_capitals() -> None:
    """Lists are separated by blanks; an empty variable says nothing."""
    environ = {
        "DEWY_LOG_LEVEL": " debug ",
        "DEWY_NOTIFIER": "mem://a  mem://b",
        "DEWY_SLOT": "",
        "DEWY_TAG": "v1",
        "INTERVAL": "5",
    }
    assert {
        "log-level": Said("DEWY_LOG_LEVEL", ("debug",)),
        "notifier": Said("DEWY_NOTIFIER", ("mem://a", "mem://b")),
    } == from_environment(environ)


def test_file_has_long_names_with_either_dash(tmp_path: Path) -> None:
    """Numbers and booleans may be written as such, lists as arrays."""
    text = """
    registry = "mem://x"
    log-level = "debug"
    log_format = "json"
    interval = 30
    probation = 0.5
    once = true
    port = [8080, "9000-9001"]
    notifier = "mem://n"
    """
    found = {name: said.texts for name, said in toml(tmp_path, text).items()}

    assert {
        "registry": ("mem://x",),
        "log-level": ("debug",),
        "log-format": ("json",),
        "interval": ("30",),
        "probation": ("0.5",),
        "once": ("true",),
        "port": ("8080", "9000-9001"),
        "notifier": ("mem://n",),
    } == found


def test_file_and_key_are_named(tmp_path: Path) -> None:
    """As they were written."""
    said = toml(tmp_path, "log_level = 'debug'")

    assert "dewy.toml: log_level" == said["log-level"].what


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("regsitry = 'x'", "'regsitry' (did you mean registry?)"),
        ("start_timout = 1", "'start_timout' (did you mean start-timeout?)"),
        ("zzz = 1", "'zzz' (keys are the long option names)"),
        ("[server]\nport = 1", "'server'"),
        ("config = 'x'", "'config'"),
    ],
)
def test_unknown_key_error_suggests_similar_key(
    tmp_path: Path, text: str, hint: str
) -> None:
    """A misspelt option that is silently ignored costs a night."""
    with pytest.raises(ConfigError) as caught:
        toml(tmp_path, text)

    assert f"dewy.toml: there is no option {hint}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry = 1", "registry must be a string, not an integer"),
        ("once = 1", "once must be true or false, not an integer"),
        ("keep = true", "keep must be an integer, not true or false"),
        ("keep = 7.0", "keep must be an integer, not a number"),
        ("slot = ['a']", "slot must be a string, not an array"),
        ("interval = 07:32:00", "or a string, not a date or time"),
        ("[slot]\nx = 1", "slot must be a string, not a table"),
        ("notifier = [1]", "notifier must be a string, or an array of them, not an in"),
        ("port = [[1]]", "port must be an integer or a string, or an array of them"),
    ],
)
def test_wrong_type_is_named(tmp_path: Path, text: str, message: str) -> None:
    """What it is, and what it must be."""
    with pytest.raises(ConfigError) as caught:
        toml(tmp_path, text)

    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"registry = ", b"\xff\xfe"])
def test_invalid_toml_error_is_single_line_with_file_name(
    tmp_path: Path, content: bytes
) -> None:
    """No traceback, and the file is named."""
    path = tmp_path / "dewy.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"dewy\.toml is not TOML: .*$") as caught:
        read(path, required=False)

    assert "\n" not in str(caught.value)
    assert "codec" not in str(caught.value)


def test_missing_file_is_an_error_only_if_required(tmp_path: Path) -> None:
    """Most roots have none."""
    path = tmp_path / "dewy.toml"

    assert {} == read(path, required=False)
    with pytest.raises(ConfigError, match="does not exist"):
        read(path, required=True)


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Going on without it would run with other options than were written."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path, required=False)


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ('interval = "2s"\nreplicas = "x"', {"replicas"}),
        ('interval = "2s"\nregisty = "x"', {"registry"}),
        ('interval = "2s"\nzzz = 1', {""}),
    ],
)
def test_mistake_in_file_leaves_its_other_values(
    tmp_path: Path, text: str, unread: set[str]
) -> None:
    path, mistakes = tmp_path / "dewy.toml", Mistakes()
    path.write_text(text)
    found = from_file(path, required=True, mistakes=mistakes)

    assert ({"interval": Said("dewy.toml: interval", ("2s",))}, unread) == found
    assert 1 == len(mistakes.errors)
