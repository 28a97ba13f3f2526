"""`s3://REGION/BUCKET/…`: which bucket, and where it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ... import urls
from ...errors import ConfigError
from ..objects.location import quoted
from ..vendor_files import read_by_boto3
from .store import S3Store

OPTIONS: Mapping[str, str] = {"endpoint": "", "region": ""}
"""The options in the query of every such URL."""

_REGION = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", re.ASCII)
_BUCKET = re.compile(r"[a-zA-Z0-9][\w.-]{1,253}[a-zA-Z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Location:
    """
    A bucket, and a prefix or a key in it.

    Attributes:
        endpoint: The URL of what is not Amazon's, or "".
    """

    region: str
    bucket: str
    path: str = ""
    endpoint: str = ""

    @classmethod
    def read(cls, url: SplitResult, allowed: Mapping[str, str] = OPTIONS) -> Self:
        """
        Take *url* apart, in whose query the options *allowed* may stand.

        Raises:
            ConfigError: *url* names no region or no bucket, or has another option.
        """
        chosen = urls.options(url, allowed)
        region = chosen["region"] or url.netloc
        bucket, _, path = unquote(url.path).strip("/").partition("/")
        for what, text, form in (
            ("region", region, _REGION),
            ("bucket", bucket, _BUCKET),
        ):
            if not form.fullmatch(text):
                raise ConfigError(
                    f"{urls.redact(url.geturl())} names no {what}"
                    " (it is s3://REGION/BUCKET/PREFIX)"
                )
        return cls(region, bucket, path.strip("/"), _endpoint(chosen["endpoint"]))

    def __str__(self) -> str:
        at = f" at {urls.redact(self.endpoint)}" if self.endpoint else ""
        return f"s3://{self.region}/{self.bucket}{at}"

    @property
    def name(self) -> str:
        """Differs between buckets, whatever their path."""
        return f"s3 {self.region} {self.bucket} {self.endpoint}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that `open` may read."""
        return read_by_boto3(os.environ)

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        query = f"?endpoint={quote(self.endpoint, safe=':/[]')}"
        where = f"s3://{self.region}/{self.bucket}/{quoted(key)}"
        return where + (query if self.endpoint else "")

    def open(self) -> S3Store:
        """
        Open the bucket; this reads files, and may ask for credentials.

        Raises:
            ConfigError: the region or the credentials cannot be as configured.
        """
        return S3Store(self.region, self.bucket, self.endpoint, shown=str(self))


def _endpoint(text: str) -> str:
    if not text:
        return ""
    parts = urls.split(text, "endpoint")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ConfigError(
            f"endpoint {urls.redact(text)!r} is not of the form https://HOST:PORT"
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"endpoint {urls.redact(text)!r} must not hold credentials;"
            " set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return urlsplit(text).geturl()
