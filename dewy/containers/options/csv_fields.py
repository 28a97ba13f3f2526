"""`key=value` pairs with commas between, as `--mount` and `--gpus` have them."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from ...errors import ConfigError

__all__ = ["fields"]


def fields(value: str, what: str) -> Iterator[tuple[str, str]]:
    """
    Every pair in *value*, keys in lower case; "" is the value of a bare key.

    A field with a comma in it stands in double quotes, all of it.

    Raises:
        ConfigError: quotes do not match; *value*, which may hold a password, is
            not told.
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
