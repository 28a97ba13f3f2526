"""A bucket of Amazon S3 as a registry: `s3://REGION/BUCKET/PREFIX`."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..remotes import Clients
from ..remotes.objects.s3 import OPTIONS, S3Location
from ..versions import Selection
from .candidates import COMMON, Options
from .objects import ObjectRegistry

ALLOWED = {**COMMON, **OPTIONS}


class S3Registry(ObjectRegistry):
    """A registry in Amazon S3, or in a store that speaks its protocol."""

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        options = Options.read(url, selection, ALLOWED)
        super().__init__(S3Location.read(url, ALLOWED), options, clients)
