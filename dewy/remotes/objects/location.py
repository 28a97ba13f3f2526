"""The bucket, and the part of it, that a URL of an object store names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from .port import ObjectStore


class Location(Protocol):
    """
    A bucket, and a prefix or a key in it.

    Attributes:
        path: The part of the URL behind the bucket, decoded, without slashes around it.

        name: Differs between buckets, whatever their path.

        files: The files that `open` may read, as with credentials.
    """

    @property
    def path(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[Path, ...]: ...

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        ...

    def open(self) -> ObjectStore:
        """
        Open the store; this blocks.

        Raises:
            ConfigError: the location is invalid as written.
        """
        ...


def prefix(place: Location) -> str:
    """Return the prefix of every key of *place*: empty, or up to a slash."""
    return f"{place.path}/" if place.path else ""


def quoted(key: str) -> str:
    """Return *key* as a URL holds it; what needs no quoting stays as it is."""
    return quote(key, safe="/+@:,=!$&'()*;")
