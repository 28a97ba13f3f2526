"""Registries: the sources of releases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from ..release import Deployment, Release
from ..remotes import Clients
from ..schemes import Implementation, Schemes
from ..versions import Selection
from .candidates import Candidates

__all__ = [
    "REGISTRIES",
    "ArrangingRegistry",
    "Candidates",
    "ListingRegistry",
    "Registry",
    "candidates_of",
]


class Registry(Protocol):
    """
    A source of releases, which may keep a record of their deployment.

    Implement `ListingRegistry` to let dewy choose among several versions.
    """

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the newest release, or the one called *tag*.

        Raises:
            NoRelease: the registry holds no release for this host; the error lists the
                names that were refused.
            NotYet: the release is still being published.
            RemoteError: the request to the registry failed.
        """
        ...

    async def report(self, deployment: Deployment) -> None:
        """
        Record a deployment that succeeded.

        Raises:
            RemoteError: *deployment* could not be recorded.
        """
        ...


@runtime_checkable
class ListingRegistry(Registry, Protocol):
    """A registry that lists its versions, and leaves the choice to dewy."""

    async def candidates(self) -> Candidates:
        """
        Return the versions that this host may have, newest first.

        Raises:
            NoRelease, NotYet, RemoteError: the same as for `current`.
        """
        ...


@runtime_checkable
class ArrangingRegistry(ListingRegistry, Protocol):
    """A registry that can order a list of names that another host fetched."""

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Return the candidates among *names*; details are fetched on demand."""
        ...


async def candidates_of(registry: Registry) -> Candidates:
    """
    Return the candidates of *registry*: just its release if it has no list.

    Raises:
        NoRelease, NotYet, RemoteError: the same as for `Registry.current`.
    """
    if isinstance(registry, ListingRegistry):
        return await registry.candidates()
    return Candidates.only(repr(registry), await registry.current())


REGISTRIES: Schemes[[Selection, Clients], Registry] = Schemes(
    "registry",
    {
        "file": Implementation("dewy.registries.file:FileRegistry"),
        "mem": Implementation("dewy.registries.memory:MemoryRegistry"),
        "ghr": Implementation("dewy.registries.github:GitHubRegistry"),
        "img": Implementation("dewy.registries.img:ImageRegistry"),
        "grpc": Implementation("dewy.registries.grpc:GRPCRegistry", "grpc"),
        "s3": Implementation("dewy.registries.s3:S3Registry", "s3"),
        "gs": Implementation("dewy.registries.gs:GSRegistry", "gcs"),
    },
)
