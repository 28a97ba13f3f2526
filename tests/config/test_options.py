"""The table of options."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

import dewy
from dewy.config import Settings
from dewy.config.settings import COMMANDS, OPTIONS, ROWS, Option, options_of, reloadable

SETTINGS = {field.name for field in fields(Settings)}
DECLARATIONS = {"option.py", "general.py", "container.py", "proxying.py", "settings.py"}
ELSEWHERE = {
    "admin/discovery.py": {"admin_port"},  # a key of the original's JSON
    "admin/status.py": {"admin_port"},
    "cli/init.py": {"health-path"},  # the questions it asks
    "config/resolve.py": {
        "admin-port",
        "drain_time",
        "health-path",
        "otlp-endpoint",
        "shutdown-timeout",
        "stop_timeout",
    },  # what options are together
    "containers/options/arguments.py": {"env-file", "stop-timeout"},  # of the engine
    "containers/options/run_options.py": {
        "env-file",
        "health-interval",
        "health-timeout",
        "stop-timeout",
    },
    "daemon/shutdown.py": {"shutdown_timeout"},  # a key of the log
}
"""Words that are an option's name, too, by file; all else reads typed attributes."""


@pytest.mark.parametrize("option", ROWS, ids=lambda o: o.name)
def test_option_ends_in_a_setting(option: Option) -> None:
    """Nothing an operator says is dropped; `calver` goes into the registry's URL."""
    assert option.setting in SETTINGS | {"calver", "config"}


@pytest.mark.parametrize(
    "option", [o for o in ROWS if o.setting in SETTINGS], ids=lambda o: o.name
)
def test_default_shown_is_the_default_taken(option: Option) -> None:
    """Help does not promise what settings don't hold."""
    root = Path("root")
    settings = Settings(command="server", root=root, cache_dir=root)
    taken = getattr(settings, option.setting)
    if option.default:
        assert taken == option.read((option.default,), "default")
    elif option.kind.metavar:
        assert not taken
    else:
        assert option.negates is taken


@pytest.mark.parametrize("option", ROWS, ids=lambda o: o.name)
def test_option_is_explained(option: Option) -> None:
    """A sentence, for commands that exist."""
    assert option.help.endswith(".")
    assert option.commands <= COMMANDS


def test_short_forms_are_unique() -> None:
    """One letter, one meaning; -h and -v are taken."""
    shorts = Counter(option.short for option in OPTIONS.values() if option.short)

    assert {1} == set(shorts.values())
    assert not {"h", "v"} & set(shorts)


def test_original_short_forms_stand() -> None:
    """Unit files that were written for the original go on working."""
    expected = {
        "c": "cache",
        "i": "interval",
        "p": "port",
        "n": "name",
        "s": "slot",
        "l": "log-level",
        "f": "log-format",
    }
    assert expected == {o.short: o.name for o in ROWS if o.short}


def test_options_of_same_name_share_syntax() -> None:
    """Where an option is read before its command is known, any row will do."""
    for row in ROWS:
        first = OPTIONS[row.name]
        assert (first.short, first.kind.repeated, first.kind.toml) == (
            row.short,
            row.kind.repeated,
            row.kind.toml,
        )
        assert (first.default, first.original) == (row.default, row.original)
        assert bool(first.kind.metavar) == bool(row.kind.metavar)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_option_names_are_unique_per_command(command: str) -> None:
    """It is clear what an option means to it."""
    names = [option.name for option in options_of(command)]

    assert sorted(set(names)) == sorted(names)


def test_option_name_is_stated_in_its_declaration_alone() -> None:
    """Default, help, commands and reload of an option change in one place."""
    spelled = {word for o in ROWS for word in (o.name, o.setting, o.variable)}
    # A single word, such as `name`, is one of many other things.
    words = {word for word in spelled if not word.isalpha()}
    package = Path(dewy.__file__).parent
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        where = path.relative_to(package)
        if where.parts[0] == "config" and where.name in DECLARATIONS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in words:
                found.setdefault(str(where), set()).add(str(node.value))

    assert ELSEWHERE == found


def test_setting_without_option_is_no_value_of_the_operator() -> None:
    """Whatever else an operator gives has an option."""
    expected = {
        "admin_port_chosen",
        "cache_dir",
        "cautions",
        "command",
        "overridden",
        "program",
        "registry_unread",
        "root",
        "run_options",
    }
    assert expected == SETTINGS - {option.setting for option in ROWS}


@pytest.mark.parametrize("command", ["container", "proxy"])
def test_reloadable_setting_is_of_the_command(command: str) -> None:
    """A reload takes over what the command has, and not where it works."""
    taken = reloadable(command)

    assert taken < {option.setting for option in options_of(command)}
    assert not {"registry", "admin_port"} & taken


def test_variable_is_the_name_in_capitals() -> None:
    """`--log-level` is `DEWY_LOG_LEVEL`."""
    assert "DEWY_LOG_LEVEL" == OPTIONS["log-level"].variable


@pytest.mark.parametrize("command", ["server", "assets", "container"])
def test_check_takes_whatever_keeps_a_root_takes(command: str) -> None:
    """So that a command line can be checked as it stands."""
    assert {o.name for o in options_of(command)} <= {
        o.name for o in options_of("check")
    }


def test_assets_has_no_listening_options() -> None:
    """A directory of files listens nowhere."""
    names = {option.name for option in options_of("assets")}

    assert not {"port", "health-path", "ready"} & names
