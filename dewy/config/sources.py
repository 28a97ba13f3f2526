"""Sources of options: flags, then the environment, then `dewy.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import ConfigError, Mistakes
from .options import OPTIONS, Option

FILE = "dewy.toml"

_TYPES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
_FOUND = {**_TYPES, list: "an array", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Said:
    """
    The values given for one option.

    Attributes:
        what: The source, as errors name it.

        texts: The values, in order; at least one.
    """

    what: str
    texts: tuple[str, ...]


def flags(given: Mapping[str, object]) -> dict[str, Said]:
    """Return the values of flags: texts, lists of texts, or True."""
    said = {}
    for name, value in given.items():
        texts = _texts(value)
        if name in OPTIONS and texts:
            said[name] = Said(f"--{name}", texts)
    return said


def _texts(value: object) -> tuple[str, ...]:
    if value is None or value is False:
        return ()
    if value is True:
        return ("true",)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(each) for each in value)
    return (str(value),)


def environment(environ: Mapping[str, str]) -> dict[str, Said]:
    """Return the values of `DEWY_…` variables; an empty one counts as unset."""
    said = {}
    for option in OPTIONS.values():
        text = environ.get(option.variable, "").strip()
        if text:
            texts = tuple(text.split()) if option.kind.repeated else (text,)
            said[option.name] = Said(option.variable, texts)
    return said


def file(
    path: Path, *, required: bool, mistakes: Mistakes
) -> tuple[dict[str, Said], set[str]]:
    """
    Return the values in the TOML file *path*, and the options it may name unreadably.

    *mistakes* get each: the file is *required* and missing, cannot be read, is no TOML,
    or holds an unknown key or a value of the wrong type. The rest of it counts.
    """
    entries: dict[str, Said] = {}
    unread = {*OPTIONS}
    with mistakes.caught():
        data = _table(path, required=required)
        unread.clear()
        for key, value in data.items():
            with mistakes.caught():
                near = _near(key)
                unread.add(near)
                name, entry = _entry(key, value, path.name)
                unread.discard(near)
                entries[name] = entry
    return entries, unread


def _table(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        if not required:
            return {}
        raise ConfigError(f"the configuration file {path} does not exist") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        where = f"UTF-8 ends at byte {exc.start + 1}"
        raise ConfigError(f"{path} is not TOML: {where}") from None
    except ValueError as exc:
        raise ConfigError(f"{path} is not TOML: {exc}") from exc


def _entry(key: str, value: object, file: str) -> tuple[str, Said]:
    option = _known(key, file)
    what = f"{file}: {key}"
    if isinstance(value, list) and option.kind.repeated:
        return option.name, Said(what, tuple(_text(v, option, what) for v in value))
    return option.name, Said(what, (_text(value, option, what),))


def _near(key: str) -> str:
    """Return the option that *key* names, or that was meant; "" for none."""
    names = [name for name in OPTIONS if name != "config"]
    return next(iter(get_close_matches(key.replace("_", "-"), names, 1)), "")


def _known(key: str, file: str) -> Option:
    near = _near(key)
    if near and near == key.replace("_", "-"):
        return OPTIONS[near]
    hint = f"did you mean {near}?" if near else "keys are the long option names"
    raise ConfigError(f"{file}: there is no option {key!r} ({hint})")


def _text(value: Any, option: Option, what: str) -> str:
    # By exact type: a bool is an int to isinstance.
    if type(value) not in option.kind.toml:
        right = " or ".join(_TYPES[each] for each in option.kind.toml)
        if option.kind.repeated:
            right += ", or an array of them"
        found = _FOUND.get(type(value), "a date or time")
        raise ConfigError(f"{what} must be {right}, not {found}")
    return str(value).lower() if isinstance(value, bool) else str(value)
