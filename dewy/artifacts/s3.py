"""Artifacts in S3: `s3://REGION/BUCKET/KEY`."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..remotes import Clients
from ..remotes.s3.place import S3Place
from .objects import ObjectArtifacts


class S3Artifacts(ObjectArtifacts):
    """Objects of Amazon's, or of what speaks its protocol."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        super().__init__(S3Place.read(url), clients)
