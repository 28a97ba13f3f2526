"""Stores of objects by key, such as S3 and Google Cloud Storage."""

from __future__ import annotations

from .client import Objects
from .location import Location, prefix
from .port import HASTE, AccessRefused, Content, ObjectStore, Page, Stat, Upload

__all__ = [
    "HASTE",
    "AccessRefused",
    "Content",
    "Location",
    "ObjectStore",
    "Objects",
    "Page",
    "Stat",
    "Upload",
    "prefix",
]
