"""
Reading single values: times, numbers, words, URLs, listening addresses.

Every reader takes the text and *what* it is the value of (`--interval`,
`DEWY_INTERVAL`, `dewy.toml: interval`), so that its error names both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from .. import urls
from ..errors import ConfigError
from .endpoint import Address

LONGEST = 366 * 86400.0
WIDEST_RANGE = 101

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"
_TIME = re.compile(rf"(?:{_PART})+|\d+(?:\.\d+)?", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})(%?)", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)

Reader = Callable[[str, str], Any]


@dataclass(frozen=True, slots=True)
class ValueKind:
    """
    The kind of value that an option takes.

    Attributes:
        metavar: The value's name in help texts; "" for a flag.

        read: Takes every text that was given, and what they were given for.
            Of an option that is not *repeated* the last one counts. None stands for
            the default.

        toml: The types it may have in `dewy.toml`.

        repeated: True if several values make a list.

        empty: The setting where there is no value and no default.
    """

    metavar: str
    read: Callable[[tuple[str, ...], str], Any]
    toml: tuple[type, ...] = (str,)
    repeated: bool = False
    empty: Any = ""


def duration(text: str, what: str) -> float:
    """Read seconds from `30`, `30s`, `250ms`, `5m`, `1h` or `1m30s`."""
    if not _TIME.fullmatch(text):
        raise ConfigError(
            f"{what} {text!r} must be a time such as 30, 30s, 250ms, 5m or 1m30s"
        )
    parts = re.findall(_PART, text, re.ASCII) or [(text, "s")]
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ConfigError(f"{what} {text!r} must not be longer than a year")
    return seconds


def positive_duration(text: str, what: str) -> float:
    """Read seconds; zero is refused, as it would switch off what must stay on."""
    seconds = duration(text, what)
    if not seconds:
        raise ConfigError(f"{what} {text!r} must be longer than zero")
    return seconds


def lenient_duration(text: str, what: str) -> float | None:
    """Read seconds; zero and less mean the default, as with the original."""
    seconds = duration(text.removeprefix("-"), what)
    return None if text.startswith("-") else seconds or None


def interval(text: str, what: str) -> float | None:
    """Read seconds between polls; any negative time means the default."""
    if text.startswith("-"):
        duration(text[1:], what)
        return None
    return positive_duration(text, what)


def verbatim(text: str, what: str) -> str:
    """Return the text itself."""
    return text


def url(text: str, what: str) -> str:
    """Read a URL of the right form; its scheme is looked up when it is opened."""
    if text:
        urls.split(text, what)
    return text


def health_path(text: str, what: str) -> str:
    """Read the path of an HTTP request; "" for none."""
    if text and not re.fullmatch(r"/[!-~]*", text):
        raise ConfigError(f"{what} {text!r} must start with / and hold no blanks")
    return text


def host_header(text: str, what: str) -> str:
    """Read the value of a Host header: a name or an address, with or without a port."""
    if not re.fullmatch(r"[A-Za-z0-9_.:\[\]-]{1,255}", text):
        raise ConfigError(
            f"{what} {text!r} must be a host such as localhost, www.example.com or "
            "www.example.com:8080"
        )
    return text


def share(text: str, what: str) -> float:
    """Read a part of a whole, from `5%` or `0.05`; neither nothing nor all of it."""
    match = _SHARE.fullmatch(text)
    found = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < found < 1:
        raise ConfigError(
            f"{what} {text!r} must be a share between 0 and 1, such as 5% or 0.05"
        )
    return found


def number(least: int, most: int) -> Reader:
    """Return a reader of whole numbers from *least* to *most*."""

    def read(text: str, what: str) -> int:
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ConfigError(
                f"{what} {text!r} must be a whole number from {least} to {most}"
            )
        return int(text)

    return read


def size(text: str, what: str) -> int:
    """Read a number of bytes, above zero, such as `500MB` or `8GiB`."""
    if not (found := urls.count_of_bytes(text)):
        raise ConfigError(f"{what} {text!r} must be a size such as 500MB or 8GiB")
    return found


def choice(*words: str, blank: bool = False, **aliases: str) -> Reader:
    """
    Return a reader of one of *words* in any case; *aliases* are further spellings.

    Nothing at all means the default where it may be *blank*.
    """

    def read(text: str, what: str) -> str | None:
        if blank and not text:
            return None
        word = aliases.get(text.lower(), text.lower())
        if word not in words:
            raise ConfigError(f"{what} {text!r} must be one of {', '.join(words)}")
        return word

    return read


def flag(text: str, what: str) -> bool:
    """Read whether a flag is on."""
    return urls.boolean(what, text)


def last(read: Reader) -> Callable[[tuple[str, ...], str], Any]:
    """Return a reader of several texts of which only the last one counts."""
    return lambda texts, what: read(texts[-1], what)


def url_list(texts: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Read URLs in order, without the blank ones."""
    return tuple(url(each, what) for each in texts if each.strip())


def file_list(content: str) -> Callable[[tuple[str, ...], str], tuple[str, ...]]:
    """Return a reader of names of files that hold *content*; none may be blank."""

    def read(texts: tuple[str, ...], what: str) -> tuple[str, ...]:
        for each in texts:
            if not each.strip():
                raise ConfigError(f"{what} {each!r} must be a file with {content}")
        return texts

    return read


def addresses(texts: tuple[str, ...], what: str) -> tuple[Address, ...]:
    """
    Read listening addresses in comma lists; return each once, in order of their ports.

    An item is a port, a range of ports `A-B`, or `ADDRESS:PORT` with an IPv6
    address in brackets.
    """
    items = [item.strip() for each in texts for item in each.split(",")]
    found = [a for item in items if item for a in _addresses(item, what)]
    found.sort(key=_rank, reverse=True)
    unique = {(each.host, each.port): each for each in found}
    return tuple(sorted(unique.values(), key=_rank))


def _rank(address: Address) -> tuple[int, bool, str]:
    return address.port, address.name != str(address.port), address.host


def _addresses(item: str, what: str) -> Iterable[Address]:
    host, colon, port = item.rpartition(":")
    if colon:
        return [_at(host, port, item, what)]
    first, dash, final = item.partition("-")
    if dash:
        return [_bare(n) for n in _range(first, final, item, what)]
    return [_bare(port_number(item, item, what))]


def _bare(port: int) -> Address:
    return Address(str(port), "0.0.0.0", port)


def _at(host: str, port: str, item: str, what: str) -> Address:
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        address = None
    if address is None or bracketed != (address.version == 6):
        raise ConfigError(
            f"{what} {item!r} must be a port, a range such as 8080-8083, "
            "127.0.0.1:8080 or [::]:8080"
        )
    shown = f"[{address}]" if bracketed else str(address)
    number = port_number(port, item, what)
    return Address(f"{shown}:{number}", str(address), number)


def _range(first: str, final: str, item: str, what: str) -> range:
    low, high = (
        port_number(first.strip(), item, what),
        port_number(final.strip(), item, what),
    )
    if low > high:
        raise ConfigError(f"{what} {item!r} must name its lower port first")
    if high - low >= WIDEST_RANGE:
        raise ConfigError(
            f"{what} {item!r} must not hold more than {WIDEST_RANGE} ports"
        )
    return range(low, high + 1)


def port_number(text: str, item: str, what: str) -> int:
    """Read *text*, a part of *item*, as a port."""
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ConfigError(f"{what} {item!r} must hold ports from 1 to 65535")
    return int(text)
