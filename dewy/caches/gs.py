"""A cache in Google Cloud Storage: `gs://BUCKET/PREFIX`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult

from ..remotes.objects import gcs
from .objects import OPTIONS, CacheLimits, ObjectCache

ALLOWED = {**gcs.OPTIONS, **OPTIONS}


class GSCache(ObjectCache):
    """A cache in a bucket of Google Cloud Storage."""

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        limits = CacheLimits.read(url, ALLOWED)
        where = gcs.GCSLocation.read(url, ALLOWED)
        super().__init__(where, limits, default_directory)
