"""Challenges from a registry: `WWW-Authenticate` (RFC 9110, §11.3 and §11.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Challenge", "challenges", "preferred"]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SKIPPED = re.compile(r"[\s,]*")
_PARAMETER = re.compile(
    rf"""({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[\s,]|\Z)""", re.DOTALL
)
# An opaque credential in place of parameters, as Negotiate has it.
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|\Z)")
_SCHEME = re.compile(rf"({_TOKEN})(?:\s+|(?=,|\Z))")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    A way to answer a 401.

    Attributes:
        scheme: `bearer`, `basic` …, in lower case.

        parameters: By their names in lower case; of a repeated one the first.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """
    Return all challenges in the values of `WWW-Authenticate`, in their order.

    What can't be understood ends its header, and is nobody's challenge.
    """
    return tuple(challenge for header in headers for challenge in _read(header))


def preferred(offered: Iterable[Challenge]) -> Challenge | None:
    """
    Return the challenge to answer: Bearer where it names its token server, else Basic.
    """
    known = list(offered)
    tokens = [c for c in known if c.scheme == "bearer" and c.parameters.get("realm")]
    basic = [c for c in known if c.scheme == "basic"]
    return next(iter(tokens + basic), None)


def _read(header: str) -> Iterator[Challenge]:
    at = _skip(header, 0)
    while scheme := _SCHEME.match(header, at):
        parameters, at = _parameters(header, scheme.end())
        yield Challenge(scheme[1].lower(), parameters)


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    """Return the parameters at *at*, and where the next challenge begins."""
    found: dict[str, str] = {}
    if opaque := _TOKEN68.match(header, at):
        return found, _skip(header, opaque.end())
    while parameter := _PARAMETER.match(header, at):
        name, quoted, plain = parameter.groups()
        value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        found.setdefault(name.lower(), value)
        at = _skip(header, parameter.end())
    return found, _skip(header, at)


def _skip(header: str, at: int) -> int:
    match = _SKIPPED.match(header, at)
    return match.end() if match else at
