"""A cache in S3: `s3://REGION/BUCKET/PREFIX`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult

from ..remotes.objects import s3
from .objects import OPTIONS, CacheLimits, ObjectCache

ALLOWED = {**s3.OPTIONS, **OPTIONS}


class S3Cache(ObjectCache):
    """A cache in a bucket of Amazon S3, or of a store that speaks its protocol."""

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        limits = CacheLimits.read(url, ALLOWED)
        where = s3.S3Location.read(url, ALLOWED)
        super().__init__(where, limits, default_directory)
