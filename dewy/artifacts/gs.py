"""Artifacts in Google Cloud Storage: `gs://BUCKET/OBJECT`."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..remotes import Clients
from ..remotes.objects.gcs import GCSLocation
from .objects import ObjectArtifacts


class GSArtifacts(ObjectArtifacts):
    """Artifacts in Google Cloud Storage."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        super().__init__(GCSLocation.read(url), clients)
