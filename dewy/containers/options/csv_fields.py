"""`key=value` pairs separated by commas, as in `--mount` and `--gpus`."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from ...errors import ConfigError

__all__ = ["fields"]


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
