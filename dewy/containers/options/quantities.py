"""
Readers of the values of `docker run`'s options, in the units of engines.

Each reader takes the text and *what* names the option, for the error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

from ...config import values
from ...errors import ConfigError

__all__ = [
    "absolute",
    "address",
    "capability",
    "cpus",
    "extra_host",
    "fields",
    "flag",
    "gpus",
    "matching",
    "nanoseconds",
    "pair",
    "size",
    "swap",
    "text",
    "ulimit",
    "whole",
]

NANO = 10**9
ULIMITS = re.compile(
    "core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|"
    "sigpending|stack"
)

_SIZE = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE
)
_POWERS = {unit: 1024**power for power, unit in enumerate(["", "k", "m", "g", "t"])}
_POWERS["p"] = 1024**5
_CPUS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def text(value: str, what: str) -> str:
    """Return any text but an empty one."""
    if not value or "\0" in value:
        raise ConfigError(f"{what} must not be empty")
    return value


def flag(value: str, what: str) -> bool:
    """Return whether a flag is on."""
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"{what} {value!r} must be true or false")
    return value in _TRUE


def matching(pattern: str, right: str) -> Callable[[str, str], str]:
    """Return a reader of texts that *pattern* matches fully; *right* describes them."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value: str, what: str) -> str:
        if not compiled.fullmatch(value):
            raise ConfigError(f"{what} {value!r} must be {right}")
        return value

    return read


def only(*words: str, why: str) -> Callable[[str, str], str]:
    """Return a reader that accepts only *words*; *why* tells the reason."""
    known = " or ".join(words)

    def read(value: str, what: str) -> str:
        if value not in words:
            raise ConfigError(
                f"{what} {value!r} cannot be used: {why}; {known} can, or leave it out"
            )
        return value

    return read


def whole(least: int, most: int) -> Callable[[str, str], int]:
    """Return a reader of whole numbers from *least* to *most*."""

    def read(value: str, what: str) -> int:
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise ConfigError(
                f"{what} {value!r} must be a whole number from {least} to {most}"
            )
        return int(value)

    return read


def size(value: str, what: str) -> int:
    """Return bytes, from `512m`, `1.5g`, `64KiB`; units are powers of 1024."""
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ConfigError(f"{what} {value!r} must be a size such as 512m or 2g")
    return _limited(int(Decimal(match[1]) * _POWERS[match[2].lower()]), value, what)


def _limited(found: int, value: str, what: str) -> int:
    if found >= 2**63:
        raise ConfigError(f"{what} {value!r} must be below 8 EiB")
    return found


def swap(value: str, what: str) -> int:
    """Return bytes, or -1 for no limit."""
    return -1 if value == "-1" else size(value, what)


def cpus(value: str, what: str) -> int:
    """Return billionths of a processor."""
    if not _CPUS.fullmatch(value):
        raise ConfigError(f"{what} {value!r} must be a number such as 1.5")
    return int(Decimal(value) * NANO)


def nanoseconds(value: str, what: str) -> int:
    """Return nanoseconds, from a duration in the form of dewy's own options."""
    return round(values.duration(value, what) * NANO)


def absolute(value: str, what: str) -> str:
    """Return a path inside a container."""
    if not value.startswith("/") or "\0" in value:
        raise ConfigError(f"{what} {value!r} must be an absolute path")
    return value


def address(value: str, what: str) -> str:
    """Return an IP address."""
    try:
        return str(ip_address(value))
    except ValueError:
        raise ConfigError(f"{what} {value!r} must be an IP address") from None


def extra_host(value: str, what: str) -> str:
    """Return `NAME:IP`, from this form or `NAME=IP`."""
    cut = min((at for at in map(value.find, "=:") if at > 0), default=0)
    name, ip = value[:cut], value[cut + 1 :]
    if ip.startswith("[") and ip.endswith("]"):
        ip = ip[1:-1]
    if not name or not ip:
        raise ConfigError(f"{what} {value!r} must be NAME:IP")
    return f"{name}:{ip if ip == 'host-gateway' else address(ip, what)}"


def pair(value: str, what: str) -> tuple[str, str]:
    """Return `KEY=VALUE`; the error does not show the value."""
    key, equals, content = value.partition("=")
    if not key or not equals:
        raise ConfigError(f"{what} must be KEY=VALUE")
    return key, content


def capability(value: str, what: str) -> str:
    """Return `ALL`, or a name that begins with `CAP_`."""
    name = matching(r"[A-Za-z_]+", "a capability such as NET_RAW, or ALL")
    upper = name(value, what).upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def ulimit(value: str, what: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the limit of `NAME=SOFT[:HARD]`; -1 is no limit."""
    name, _, limits = value.partition("=")
    soft, colon, hard = limits.partition(":")
    hard = hard if colon else soft
    numbers = _WHOLE.fullmatch(soft) and _WHOLE.fullmatch(hard)
    if not ULIMITS.fullmatch(name) or not numbers or min(int(soft), int(hard)) < -1:
        raise ConfigError(
            f"{what} {value!r} must be NAME=SOFT[:HARD] such as nofile=1024:4096"
        )
    if int(hard) != -1 and not 0 <= int(soft) <= int(hard):
        raise ConfigError(
            f"{what} {value!r} must not have its soft limit above the hard"
        )
    return name, {"Name": name, "Soft": int(soft), "Hard": int(hard)}


def gpus(value: str, what: str) -> dict[str, Any]:
    """Return the device request for `all`, a number, or `"device=0,1"`."""
    found: dict[str, Any] = {"Driver": "", "Count": 0, "Capabilities": [["gpu"]]}
    for key, content in fields(value, what):
        if key in {"all", "count"} or key.isdecimal():
            found["Count"] = _count(content or key, value, what)
        elif key == "device":
            found["DeviceIDs"] = content.split(",")
        elif key == "driver":
            found["Driver"] = content
        elif key == "capabilities":
            found["Capabilities"] = [[*content.split(","), "gpu"]]
        else:
            raise ConfigError(f'{what} {value!r} must be all, a number or "device=ID"')
    if not found["Count"] and "DeviceIDs" not in found:
        found["Count"] = 1
    return found


def _count(text: str, value: str, what: str) -> int:
    if text == "all":
        return -1
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ConfigError(f"{what} {value!r} must count with a number, or all")
    return int(text)


def fields(value: str, what: str) -> Iterator[tuple[str, str]]:
    """
    Yield the pairs in *value*, keys in lower case; a bare key has the value "".

    A field with a comma in it is enclosed in double quotes as a whole.

    Raises:
        ConfigError: quotes do not match; the message omits *value*, which may hold a
            password.
    """
    if "\n" in value or "\r" in value:
        raise ConfigError(f"{what} must be on one line")
    try:
        rows = list(csv.reader([value], strict=True))
    except csv.Error:
        raise ConfigError(f"{what} must have its quotes around whole fields") from None
    for each in rows[0] if rows else []:
        key, _, content = each.partition("=")
        yield key.strip().lower(), content
