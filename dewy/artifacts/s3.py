"""Artifacts in S3: `s3://REGION/BUCKET/KEY`."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..remotes import Clients
from ..remotes.objects.s3 import S3Location
from .objects import ObjectArtifacts


class S3Artifacts(ObjectArtifacts):
    """Artifacts in Amazon S3, or in a store that speaks its protocol."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        super().__init__(S3Location.read(url), clients)
