"""Buckets of every object store there is a server for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tests.standins.gcs_bucket import GCSBucket
from tests.standins.s3 import S3Bucket


class Bucket(Protocol):
    """
    A new bucket, as a publisher sees it.

    Attributes:
        environment: Where dewy finds its server, and its credentials.
    """

    name: str

    @property
    def environment(self) -> Mapping[str, str]: ...

    def url(self, path: str = "", query: str = "", endpoint: str = "") -> str: ...

    def put(self, key: str, content: bytes) -> None: ...

    def get(self, key: str) -> bytes: ...

    def keys(self, prefix: str = "") -> list[str]: ...

    def delete(self, key: str) -> None: ...

    def drop(self) -> None: ...

    def unfinished(self) -> int: ...


BUCKETS: dict[str, Callable[[], Bucket]] = {"s3": S3Bucket, "gs": GCSBucket}
