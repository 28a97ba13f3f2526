"""
Which containers are an application's, and how they are labelled (pure).

The labels are those of the original, and four more. `dewy.registry` tells apart
applications whose images share their last name; `dewy.spec` tells replicas that
are made alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from .model import Container

__all__ = ["Application", "reference_of"]

MANAGED = "dewy.managed"
APP = "dewy.app"
REPLICA = "dewy.replica"
VERSION = "dewy.version"
DEPLOYED_AT = "dewy.deployed_at"
REGISTRY = "dewy.registry"
DIGEST = "dewy.digest"
SPEC = "dewy.spec"
PORTS = "dewy.ports"


@dataclass(frozen=True, slots=True)
class Application:
    """
    What the containers of one dewy have in common.

    Attributes:
        name: As people call it, and the original labelled it.

        repository: `HOST/PATH` of its images, as the engine knows them.

        named: The operator gave the name, which then identifies it whatever
            the images are.
    """

    name: str
    repository: str
    named: bool = False

    @property
    def identity(self) -> str:
        """Differs from any other application's on this host."""
        return self.name if self.named else self.repository

    @property
    def network(self) -> str:
        """The bridge network of its own."""
        tail = hashlib.sha256(f"{self.name} {self.identity}".encode()).hexdigest()[:8]
        return f"dewy-{self.name}-{tail}"

    @property
    def selector(self) -> dict[str, str | None]:
        """Labels that all of its containers have; others' may have them too."""
        return {MANAGED: "true", APP: self.name}

    def owns(self, container: Container) -> bool:
        """
        Whether *container* is one of its own.

        The original did not say whose its containers are: they are ours if they
        were made from our images.
        """
        labels = container.labels
        if labels.get(MANAGED) != "true" or labels.get(APP) != self.name:
            return False
        if REGISTRY in labels:
            return labels[REGISTRY] == self.identity
        return repository_of(container.image) == self.repository

    def labels(
        self, index: int, version: str, digest: str, spec: str, ports: tuple[int, ...]
    ) -> dict[str, str]:
        """Those of a new replica."""
        return {
            MANAGED: "true",
            APP: self.name,
            REGISTRY: self.identity,
            REPLICA: str(index),
            VERSION: version,
            DIGEST: digest,
            SPEC: spec,
            PORTS: ",".join(map(str, ports)),
            DEPLOYED_AT: datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        }


def index_of(labels: Mapping[str, str]) -> int:
    """Which replica a container is; -1 where it does not say."""
    text = labels.get(REPLICA, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else -1


def ports_of(container: Container) -> tuple[int, ...]:
    """
    The container's ports, one for each port of the proxy, in their order.

    The original did not write them down, but had only one that it published.
    """
    stated = container.labels.get(PORTS, "")
    if stated:
        return tuple(int(port) for port in stated.split(",") if port.isdigit())
    return tuple(sorted(container.published))


def repository_of(reference: str) -> str:
    """*reference* without its tag and digest."""
    path = reference.partition("@")[0]
    head, slash, name = path.rpartition("/")
    return f"{head}{slash}{name.partition(':')[0]}"


def reference_of(repository: str, digest: str) -> str:
    """The image with exactly these bytes."""
    return f"{repository}@{digest}"
