"""Stores of objects by key, such as S3 and Google Cloud Storage."""

from __future__ import annotations

from .client import Objects
from .location import Location, prefix
from .port import HASTE, Content, ObjectStore, Page, Stat, Upload

__all__ = [
    "HASTE",
    "Content",
    "Location",
    "ObjectStore",
    "Objects",
    "Page",
    "Stat",
    "Upload",
    "prefix",
]
