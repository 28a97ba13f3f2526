"""The words after `--`, split as on the command line of `docker run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ...config.settings import OPTIONS
from ...errors import ConfigError
from .run_options import (
    ALIASES,
    REFUSED,
    REFUSED_SHORTS,
    RUN_OPTIONS,
    SHORTS,
    RunOption,
)

__all__ = ["Given", "given"]

CLOSE = 0.75
"""Similarity, from 0 to 1, from which on another name is suggested."""


@dataclass(frozen=True, slots=True)
class Given:
    """
    Option as given.

    Attributes:
        what: Name of the option in errors.

        text: Value; "true" for a flag without one.
    """

    option: RunOption
    what: str
    text: str


def given(words: Sequence[str]) -> Iterator[Given]:
    """
    Yield the options in *words*, in order.

    Raises:
        ConfigError: a word is no option, or not one that dewy takes.
    """
    rest = iter(words)
    last: Given | None = None
    for word in rest:
        if word.startswith("--") and word != "--":
            found = [_long(word, rest)]
        elif word.startswith("-") and word not in {"-", "--"}:
            found = list(_cluster(word, rest))
        else:
            raise _stray(word, last)
        last = found[-1]
        yield from found


def _long(word: str, rest: Iterator[str]) -> Given:
    name, equals, value = word[2:].partition("=")
    flag = f"--{name}"
    option = RUN_OPTIONS.get(ALIASES.get(name, name))
    if option is None:
        raise _refusal(flag, name)
    if equals:
        return _given(option, flag, value)
    return _given(option, flag, _next(flag, rest) if option.value else "true")


def _cluster(word: str, rest: Iterator[str]) -> Iterator[Given]:
    """Yield the flags in one word, of which the last may have a value."""
    for at in range(1, len(word)):
        letter, tail = word[at], word[at + 1 :]
        flag = f"-{letter}"
        option = RUN_OPTIONS.get(SHORTS.get(letter, ""))
        if option is None:
            raise _refusal(flag, REFUSED_SHORTS.get(letter, ""))
        if tail.startswith("="):
            yield _given(option, flag, tail[1:])
            return
        if option.value:
            yield _given(option, flag, tail or _next(flag, rest))
            return
        yield _given(option, flag, "true")


def _given(option: RunOption, flag: str, text: str) -> Given:
    return Given(option, f"run option {flag}", text)


def _next(flag: str, rest: Iterator[str]) -> str:
    word = next(rest, None)
    if word is None:
        raise ConfigError(f"run option {flag} needs a value")
    return word


def _refusal(flag: str, name: str) -> ConfigError:
    if name in REFUSED:
        return ConfigError(f"run option {flag} cannot be used: {REFUSED[name]}")
    if name in OPTIONS:
        return ConfigError(
            f"run option {flag} is an option of dewy: write it before --"
        )
    # Words that were glued together may contain a secret value.
    plain = name.replace("-", "").isalnum() if name else flag.isprintable()
    shown = flag if plain else "of that name"
    near = get_close_matches(name, RUN_OPTIONS, 1, CLOSE)
    hint = f"did you mean --{near[0]}?" if near else "leave it out"
    return ConfigError(f"run option {shown} is not one that dewy takes ({hint})")


def _stray(word: str, last: Given | None) -> ConfigError:
    # After a secret that was not quoted it may be the rest of it.
    secret = last is not None and last.option.secret
    shown = f"the word after {last.what} and its value" if last and secret else None
    return ConfigError(
        f"{shown or repr(word)} is no run option; only options of `docker run` stand "
        "after --, the image comes from the registry and its command from --cmd"
    )
