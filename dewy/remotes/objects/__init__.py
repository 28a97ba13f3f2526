"""Stores of objects by key, such as S3 and Google Cloud Storage."""

from __future__ import annotations

from .client import Objects
from .place import Place, prefix
from .port import Content, ObjectStore, Page, Stat, Upload

__all__ = [
    "Content",
    "ObjectStore",
    "Objects",
    "Page",
    "Place",
    "Stat",
    "Upload",
    "prefix",
]
