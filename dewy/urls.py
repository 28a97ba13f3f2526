"""Reading dewy's URLs: strict options, a canonical form, secrets struck out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from urllib.parse import SplitResult, parse_qsl, quote_plus, unquote_plus, urlsplit

from .errors import ConfigError

_SECRET = re.compile(
    r"token|pass|pwd|secret|key|sig\b|signature|credential|auth|jwt|session|code\b",
    re.IGNORECASE,
)
# Tokens that tell by their form what they are: GitHub, GitLab, Slack, AWS, JWT.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|xapp-|eyJ)[\w.-]+|A[KS]IA[A-Z0-9]{12,})"
)
_SLACK_HOOK = re.compile(r"(hooks\.slack\.com(?::[^/?#\s]*)?/\w+/)[^?#\s\"']+")
_USER = re.compile(r"(?<=://)[^\s/?#@\"'<>]+(?=@)")
_PARAMETER = re.compile(
    r"([?&][\w.-]*(?:token|pass|pwd|secret|sig|key|credential|auth)[\w.-]*=)"
    r"[^\s&#\"'<>]+",
    re.IGNORECASE,
)
_ODD_PORT = re.compile(r"^[^\[]*:(?!\d+$)|\]:(?!\d+$)", re.ASCII)
_PAIR = re.compile(r"[^?#&;]+")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
# Mistakes that are frequent with one scheme.
_HINTS = {"img": "; dewy finds the tag: write img://HOST/REPOSITORY without one"}
_TRUE = frozenset({"1", "t", "true", "on", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "no"})


class UnknownOption(ConfigError):
    """A URL's query has a name that means nothing there; its value is not shown."""


def split(url: str, what: str = "URL") -> SplitResult:
    """
    Take *url* apart.

    Raises:
        ConfigError: *url* is not of the form `scheme://…`.
    """
    scheme, separator, rest = url.partition("://")
    if scheme and separator and not rest:
        raise ConfigError(f"{what} {url!r} names nothing after ://")
    if not (scheme and separator):
        raise ConfigError(f"{what} {redact(url)!r} is not of the form scheme://…")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the property validates
    except ValueError:
        # Not quoted: the text may hold a part of a password.
        raise ConfigError(
            f"{what} {redact(url)!r} has no valid host{_HINTS.get(scheme, '')}"
        ) from None
    if not parts.scheme:
        raise ConfigError(f"{what} {redact(url)!r} has no valid scheme")
    return parts


def options(parts: SplitResult, allowed: Mapping[str, str]) -> dict[str, str]:
    """
    Return the query of *parts* over the defaults in *allowed*.

    Names match case-insensitively, the last of a repeated option counts, and
    an empty value leaves the default.

    Raises:
        UnknownOption: an option is not in *allowed*.
    """
    chosen = dict(allowed)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        known = name.lower()
        if known not in allowed:
            near = get_close_matches(known, allowed, 1)
            hint = (
                f"did you mean {near[0]}?" if near else f"known: {', '.join(allowed)}"
            )
            raise UnknownOption(f"{parts.scheme}:// has no option {name!r} ({hint})")
        if value:
            chosen[known] = value
    return chosen


def boolean(name: str, value: str) -> bool:
    """
    Read a boolean option.

    Raises:
        ConfigError: *value* is none of the accepted words.
    """
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise ConfigError(f"option {name}={value!r} must be true or false")
    return word in _TRUE


def size(name: str, value: str) -> int:
    """
    Read a size option in bytes: `1048576`, `64M`, `500MB`, `2GiB`.

    `B` alone makes a decimal unit; `iB`, or nothing, one of 1024.

    Raises:
        ConfigError: *value* is no size, or zero.
    """
    if not (found := count_of_bytes(value)):
        raise ConfigError(f"option {name}={value!r} must be a size such as 2GiB")
    return found


def count_of_bytes(text: str) -> int:
    """Return the size that *text* is, as `size` reads it; 0 for no size."""
    match = re.fullmatch(r"([0-9]{1,18})([kmgt]?)(b|ib|)", text.lower(), re.ASCII)
    if match is None:
        return 0
    base = 1000 if match[3] == "b" else 1024
    return int(match[1]) * int(base ** _POWERS[match[2]])


def canonical(url: str) -> str:
    """Return the URL with its query sorted: a registry's name in caches and keys."""
    head, mark, query = url.partition("?")
    if not mark:
        return url
    pairs = sorted(parse_qsl(query, keep_blank_values=True), key=lambda pair: pair[0])
    return head + "?" + "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in pairs)


def redact(url: str) -> str:
    """
    Return the URL as it may be shown: passwords and tokens struck out.

    All of the user part goes, since a token may stand there alone, and so do
    the passwords of URLs in the query. Text that is no proper URL is taken for
    one whose author forgot to quote.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    head = re.match(r"[^?#]*", _without_user(rest, stated=bool(mark)))
    assert head is not None
    query = _PAIR.sub(_redact_pair, head.string[head.end() :])
    shown = f"{scheme}{mark}{head[0]}{query}"
    return _TOKEN.sub("***", _SLACK_HOOK.sub(r"\1***", shown))


def strike(text: str) -> str:
    """Return *text* with everything that looks like a secret struck out."""
    text = _PARAMETER.sub(r"\1***", _USER.sub("***", text))
    return _TOKEN.sub("***", _SLACK_HOOK.sub(r"\1***", text))


def _without_user(rest: str, *, stated: bool) -> str:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    _, at, host = authority.rpartition("@")
    path = rest[len(authority) :]
    if _ODD_PORT.search(host):
        # A password with a bare "/" or "?" in it ends what looks like the host.
        _, late, after = path.rpartition("@")
        if late:
            return f"***@{after}"
        return f"{host.partition(':')[0]}:***{path}" if stated else rest
    return f"***@{host}{path}" if at else rest


def _redact_pair(pair: re.Match[str]) -> str:
    name, equals, value = pair[0].partition("=")
    text = unquote_plus(value)
    if equals and _SECRET.search(unquote_plus(name)):
        return f"{name}=***"
    return f"{name}={redact(text)}" if "@" in text or "://" in text else pair[0]
