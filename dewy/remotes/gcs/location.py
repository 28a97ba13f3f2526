"""`gs://BUCKET/…`: which bucket."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote

from ... import urls
from ...errors import ConfigError
from ..objects.location import quoted
from ..vendor_files import read_by_google
from .store import GCSStore

OPTIONS: Mapping[str, str] = {}
"""The options in the query of every such URL."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class GCSLocation:
    """A bucket, and a prefix or a key in it."""

    bucket: str
    path: str = ""

    @classmethod
    def read(cls, url: SplitResult, allowed: Mapping[str, str] = OPTIONS) -> Self:
        """
        Take *url* apart, in whose query the options *allowed* may stand.

        Raises:
            ConfigError: *url* names no bucket, or has another option.
        """
        urls.options(url, allowed)
        if not _BUCKET.fullmatch(url.netloc):
            raise ConfigError(
                f"{urls.redact(url.geturl())} names no bucket"
                " (it is gs://BUCKET/PREFIX)"
            )
        return cls(url.netloc, unquote(url.path).strip("/"))

    def __str__(self) -> str:
        return f"gs://{self.bucket}"

    @property
    def name(self) -> str:
        """Differs between buckets, whatever their path."""
        return f"gs {self.bucket}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that `open` may read."""
        return read_by_google(os.environ)

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        return f"gs://{self.bucket}/{quoted(key)}"

    def open(self) -> GCSStore:
        """
        Open the bucket; this reads files, and may ask for credentials.

        Raises:
            ConfigError: the credentials cannot be as configured.
        """
        return GCSStore(self.bucket)
