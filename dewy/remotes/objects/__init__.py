"""Stores of objects by key, such as S3 and Google Cloud Storage."""

from __future__ import annotations

from .client import Objects
from .location import Location, prefix
from .port import HASTE, Content, ObjectPage, ObjectStore, Stat, Upload

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
