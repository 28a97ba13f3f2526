"""Registries know which releases there are."""

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
    A list of releases, which hears how their deployment went.

    One that lists its versions has a method `candidates`, too, as
    `ListingRegistry` has it.
    """

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the newest release, or the one called *tag*.

        Raises:
            NoRelease: the registry holds no release for this host; the error lists what
                was refused.
            NotYet: the release is still being published.
            RemoteError: the registry did not answer as it should.
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
    """A registry that lists its versions, so that dewy chooses among them."""

    async def candidates(self) -> Candidates:
        """
        Return the versions this host may have, newest first.

        Raises:
            NoRelease, NotYet, RemoteError: the same as for `current`.
        """
        ...


@runtime_checkable
class ArrangingRegistry(ListingRegistry, Protocol):
    """A registry that puts in order a list that another host has asked for."""

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Return candidates of the *names*, whose details are asked for by name."""
        ...


async def candidates_of(registry: Registry) -> Candidates:
    """
    Return what *registry* offers; of one without a list the release it names.

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
