"""Registries know which release is current."""

from __future__ import annotations

from typing import Protocol

from ..release import Deployment, Release
from ..remotes import Clients
from ..schemes import Entry, Schemes
from ..versions import Selection

__all__ = ["REGISTRIES", "Registry"]


class Registry(Protocol):
    """Knows which release is current, and hears how its deployment went."""

    async def current(self, tag: str | None = None) -> Release:
        """
        The newest release for this host, or the one called *tag*.

        Raises:
            NoRelease: there is none; it lists what was refused.
            NotYet: the newest is still being published.
            RemoteError: the registry did not answer as it should.
        """
        ...

    async def report(self, deployment: Deployment) -> None:
        """
        Record a deployment that succeeded.

        Raises:
            RemoteError: it could not be recorded.
        """
        ...


REGISTRIES: Schemes[[Selection, Clients], Registry] = Schemes(
    "registry",
    {
        "file": Entry("dewy.registries.file:FileRegistry"),
        "mem": Entry("dewy.registries.memory:MemoryRegistry"),
        "ghr": Entry("dewy.registries.github:GitHubRegistry"),
        "img": Entry("dewy.registries.img:ImageRegistry"),
        "grpc": Entry("dewy.registries.grpc:GRPCRegistry", "grpc"),
        "s3": Entry("dewy.registries.s3:S3Registry", "s3"),
        "gs": Entry("dewy.registries.gs:GSRegistry", "gcs"),
    },
)
