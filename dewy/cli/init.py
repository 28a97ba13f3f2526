"""`dewy init`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from ..config import examine
from ..config.resolve import FILE, Said, from_flags
from ..config.settings import Option, options_of
from ..errors import ConfigError, Mistakes
from .arguments import options_for

MODES = ("server", "assets", "container")
IMAGES = "img://"
ASKED = {
    "server": ("registry", "port", "health-path"),
    "assets": ("registry",),
    "container": ("registry", "port", "replicas", "health-path"),
}
"""The options that are asked for on a terminal, if they were not given."""

NEEDED = {
    "server": ("registry",),
    "assets": ("registry",),
    "container": ("registry", "port"),
}
"""Options that have to be answered, by command."""

NOT_WRITTEN = frozenset({"config", "once"})
AFTER = {
    "server": " -- current/PROGRAM [ARGS…]",
    "assets": "",
    "container": " [-- RUN OPTIONS…]",
}


@click.command("init", short_help="Write a commented dewy.toml.")
@options_for("init")
@click.option("--force", is_flag=True, help="Overwrite an existing dewy.toml.")
@click.argument(
    "mode",
    required=False,
    type=click.Choice(MODES),
    metavar="[server|assets|container]",
)
def command(force: bool, mode: str | None, **given: object) -> None:
    """
    Write a commented dewy.toml for `dewy server`, `assets` or `container`.

    The file has the options given here, checked, and all others as comments with their
    defaults. On a terminal, asks for required options that were not given.
    """
    path = Path.cwd() / FILE
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; --force writes over it")
    said = from_flags(given | _lists(given))
    if not (mode or said or sys.stdin.isatty()):
        raise ConfigError(
            "init needs to know what for: dewy init server, assets or container, with "
            "--registry URL"
        )
    if sys.stdin.isatty():
        mode = mode or _told_mode(said) or _asked_mode()
        _refuse_others(mode, said)
        said = _answers(mode, said)
    mode = mode or _told_mode(said) or "assets"
    _refuse_others(mode, said)
    _mistakes(mode, said).check()
    path.write_text("\n".join(lines(mode, said)) + "\n", encoding="utf-8")
    click.echo(f"wrote {path}")
    click.echo(f"next:  dewy check {mode}{AFTER[mode]}")
    click.echo(f"then:  dewy {mode}{AFTER[mode]}")


def _lists(given: Mapping[str, object]) -> dict[str, object]:
    """Return the options by their names, as people write them."""
    return {name.replace("_", "-"): value for name, value in given.items()}


def _told_mode(said: Mapping[str, Said]) -> str:
    """Return the command that the options speak for, or ""."""
    registry = said.get("registry")
    if registry and registry.texts[-1].lower().startswith(IMAGES):
        return "container"
    return "server" if "port" in said else ""


def _asked_mode() -> str:
    told = "server runs a program, assets keeps files, container runs an image."
    mode: str = click.prompt(f"{told}\ncommand", type=click.Choice(MODES))
    return mode


def _answers(mode: str, said: Mapping[str, Said]) -> dict[str, Said]:
    """Return *said* and the answers on what is needed and was not given."""
    found = dict(said)
    for option in options_of(mode):
        asked = option.name in ASKED[mode] and option.name not in said
        if asked and (text := _answer(mode, option, found)):
            found[option.name] = _as_flag(option, text)
    return found


def _answer(mode: str, option: Option, said: Mapping[str, Said]) -> str:
    """Ask for *option* until there is no mistake in it; "" leaves it out."""
    before = {str(each) for each in _mistakes(mode, said).errors}

    def checked(text: str) -> str:
        given = {**said, option.name: _as_flag(option, text)} if text else said
        for mistake in _mistakes(mode, given).errors:
            if str(mistake) not in before:
                raise click.UsageError(str(mistake))
        return text

    needed = option.name in NEEDED[mode]
    text: str = click.prompt(
        f"{option.help}\n--{option.name} {option.kind.metavar}",
        default=None if needed else option.default,
        show_default=bool(option.default),
        value_proc=checked,
    )
    return text


def _as_flag(option: Option, text: str) -> Said:
    return Said(f"--{option.name}", (text,))


def _refuse_others(mode: str, said: Mapping[str, Said]) -> None:
    """
    Raises:
        ConfigError: an option is not one of *mode*.
    """
    known = {option.name for option in options_of(mode)}
    for name in said:
        if name not in known:
            raise ConfigError(f"{mode} has no option --{name}")


def _mistakes(mode: str, said: Mapping[str, Said]) -> Mistakes:
    """Return what is invalid, alone or beside the others."""
    kinds = {option.name: option.kind for option in options_of(mode)}
    given: dict[str, object] = {
        name: entry.texts if kinds[name].metavar else True
        for name, entry in said.items()
    }
    program = {"program": ("current/program",)}
    _, mistakes = examine(mode, given | program, os.environ, Path.cwd(), file=False)
    return mistakes


def lines(mode: str, said: Mapping[str, Said]) -> Iterator[str]:
    """Yield the file, line by line."""
    yield f"# Options of `dewy {mode}`, read in its working directory. A comment shows"
    yield "# the default; flags and DEWY_… variables go before what stands here."
    yield f"# `dewy check {mode}` judges it; docs/reference/options.md tells more."
    for option in options_of(mode):
        if option.name in NOT_WRITTEN:
            continue
        yield ""
        yield f"# {option.help}"
        if option.name in said:
            yield f"{option.name} = {_value(option, said[option.name].texts)}"
        else:
            yield f"# {option.name} = {_default(option)}"


def _value(option: Option, texts: Sequence[str]) -> str:
    """Return *texts* as a value of TOML."""
    if bool in option.kind.toml:
        return texts[-1].lower()
    if option.kind.repeated and len(texts) > 1:
        return f"[{', '.join(_one(option, text) for text in texts)}]"
    return _one(option, texts[-1])


def _one(option: Option, text: str) -> str:
    if int in option.kind.toml and text.isascii() and text.isdigit():
        return text
    # What JSON escapes TOML does in the same way.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _default(option: Option) -> str:
    if option.default:
        return _value(option, (option.default,))
    return "false" if bool in option.kind.toml else '""'
