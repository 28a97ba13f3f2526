"""Stores of objects by key, such as S3 and Google Cloud Storage."""

from __future__ import annotations

from .client import Objects
from .store import (
    HASTE,
    Content,
    Location,
    ObjectPage,
    ObjectStore,
    Stat,
    Upload,
    prefix,
)

__all__ = [
    "HASTE",
    "Content",
    "Location",
    "ObjectPage",
    "ObjectStore",
    "Objects",
    "Stat",
    "Upload",
    "prefix",
]
