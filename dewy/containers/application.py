"""
Which containers are an application's, and how they are labelled (pure).

The labels are those of the original, and five more. `dewy.registry` tells apart
applications whose images share their last name; `dewy.spec` tells replicas that
are made alike; `dewy.root` tells which dewy made them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..config import PortMapping
from .engines.decode import repository
from .model import Container

__all__ = ["Application", "image_name", "reference_of"]

MANAGED = "dewy.managed"
APP = "dewy.app"
REPLICA = "dewy.replica"
VERSION = "dewy.version"
DEPLOYED_AT = "dewy.deployed_at"
REGISTRY = "dewy.registry"
DIGEST = "dewy.digest"
SPEC = "dewy.spec"
PORTS = "dewy.ports"
ROOT = "dewy.root"
IMAGE = "dewy.image"

LONGEST_TAG = 128

_DEFAULT_PORT = re.compile(r":443(?=/)")


@dataclass(frozen=True, slots=True)
class Application:
    """
    What the containers of one dewy have in common.

    Attributes:
        name: As people call it, and the original labelled it.

        repository: `HOST/PATH` of its images, as the engine knows them.

        named: The operator gave the name, which then identifies it whatever
            the images are.

        root: The root of this dewy, `HOST:PATH`; "" where containers are not told.

        adopted: The ids of containers that were found when this dewy began; None
            until then. Later ones from other roots are another dewy's.
    """

    name: str
    repository: str
    named: bool = False
    root: str = ""
    adopted: frozenset[str] | None = None

    @property
    def identity(self) -> str:
        """Differs from any other application's on this host."""
        return self.name if self.named else _without_port(self.repository)

    @property
    def network(self) -> str:
        """The bridge network of its own."""
        tail = hashlib.sha256(f"{self.name} {self.identity}".encode()).hexdigest()[:8]
        return f"dewy-{self.name}-{tail}"

    @property
    def image_repository(self) -> str:
        """
        Where its images have tags of their own, so that no cleaning takes them.

        No registry is called so: nothing is pulled from there, or pushed to it.
        """
        name = re.sub(r"[^a-z0-9]+", "-", self.network.lower())
        return f"localhost/{name}"

    def image_tag(self, digest: str) -> str:
        """The tag of its own on the image of that *digest*."""
        word = digest.replace(":", "-")[:LONGEST_TAG]
        return f"{self.image_repository}:{word}"

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
        if not self._may_be_of_this_root(container) or is_copy(container):
            return False
        if REGISTRY in labels:
            return _without_port(labels[REGISTRY]) == self.identity
        return _without_port(repository(container.image)) == _without_port(
            self.repository
        )

    def _may_be_of_this_root(self, container: Container) -> bool:
        """Whether no other root made *container* while this dewy ran."""
        known = self.adopted is None or container.id in self.adopted
        return known or container.labels.get(ROOT, "") in {"", self.root}

    def having(self, adopted: Iterable[str]) -> Application:
        """This application once its dewy has *adopted* the containers of those ids."""
        return replace(self, adopted=frozenset(adopted))

    def labels(
        self,
        index: int,
        version: str,
        digest: str,
        spec: str,
        ports: Iterable[PortMapping],
        image_id: str = "",
    ) -> dict[str, str]:
        """
        Return the labels of a new replica; *ports* leave nothing to the image.

        *image_id* is that of the image it is made from, where it is known.
        """
        return {
            MANAGED: "true",
            APP: self.name,
            REGISTRY: self.identity,
            REPLICA: str(index),
            VERSION: version,
            DIGEST: digest,
            SPEC: spec,
            PORTS: ",".join(f"{each.proxy}:{each.container}" for each in ports),
            DEPLOYED_AT: datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            **({ROOT: self.root} if self.root else {}),
            **({IMAGE: image_id} if image_id else {}),
        }


def is_copy(container: Container) -> bool:
    """
    Return whether *container* has a replica's labels and was made from another image.

    `docker commit` writes the labels of a container into the image it makes, and
    whatever is run from that has them, too.
    """
    made_from = container.labels.get(IMAGE, "")
    return bool(made_from and container.image_id) and made_from != container.image_id


def _without_port(name: str) -> str:
    """*name* without the port that a registry has anyway."""
    return _DEFAULT_PORT.sub("", name, count=1)


def image_name(container: Container) -> str:
    """The image of *container* by its tag, as the original showed it."""
    repository, digest, _ = container.image.partition("@")
    version = container.labels.get(VERSION, "")
    return f"{repository}:{version}" if digest and version else container.image


def index_of(labels: Mapping[str, str]) -> int:
    """Which replica a container is; -1 where it does not say."""
    text = labels.get(REPLICA, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else -1


def ports_of(container: Container, wanted: Sequence[PortMapping]) -> dict[int, int]:
    """
    The port of *container* for those of *wanted* that it has one for, by their place.

    It may have been made for others. What is asked for now counts where it has that
    port; else what it was made for at that port of the proxy.
    """
    made = _made_for(container.labels.get(PORTS, ""))
    known = set(made.values()) or set(container.published)
    if _is_as_wanted(made, wanted):
        # At whatever ports of the proxy: it is not replaced for that.
        return dict(enumerate(made.values()))
    if len(known) == len(wanted) == 1:
        return dict(enumerate(known))
    image = _left_to_the_image(known, wanted, stated=bool(made))
    found = {}
    for place, each in enumerate(wanted):
        own = each.container if each.container in known else 0
        guess = 0 if each.container else image
        if port := own or made.get(each.proxy, 0) or guess:
            found[place] = port
    return found


def _made_for(label: str) -> dict[int, int]:
    """The container's port by the proxy's."""
    pairs = (pair.partition(":")[::2] for pair in label.split(","))
    return {int(a): int(b) for a, b in pairs if a.isdecimal() and b.isdecimal()}


def _is_as_wanted(made: Mapping[int, int], wanted: Sequence[PortMapping]) -> bool:
    """Whether what is *wanted* may be the same ports of containers in that order."""
    if len(made) != len(wanted):
        return False
    pairs = list(zip(wanted, made.values(), strict=True))
    image = {port for each, port in pairs if not each.container}
    return len(image) < 2 and all(each.container in {0, port} for each, port in pairs)


def _left_to_the_image(
    known: Set[int], wanted: Iterable[PortMapping], *, stated: bool
) -> int:
    """
    Which of the *known* ports is the one that the image exposes; 0 if none must be.

    The original, which *stated* none, published that one and those it was told.
    """
    unnamed = known - {each.container for each in wanted}
    likely = (unnamed or known) if not stated or unnamed == known else ()
    return next(iter(likely)) if len(likely) == 1 else 0


def reference_of(repository: str, digest: str) -> str:
    """The image with exactly these bytes."""
    return f"{repository}@{digest}"
