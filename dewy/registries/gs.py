"""A bucket of Google Cloud Storage as a registry: `gs://BUCKET/PREFIX`."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..remotes import Clients
from ..remotes.objects.gcs import OPTIONS, GCSLocation
from ..versions import Selection
from .candidates import COMMON, Options
from .objects import ObjectRegistry

ALLOWED = {**COMMON, **OPTIONS}


class GSRegistry(ObjectRegistry):
    """A registry in Google Cloud Storage."""

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        options = Options.read(url, selection, ALLOWED)
        super().__init__(GCSLocation.read(url, ALLOWED), options, clients)
