"""
The identity of an application: its names, its labels and its containers (pure).

The labels are those of the original, and five more. `dewy.registry` tells apart
applications whose images share their last name; `dewy.spec` tells replicas that
are made alike; `dewy.root` tells which dewy made them.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .. import urls
from ..config import PortMapping, Settings
from ..config.settings import app_name
from ..remotes.oci.reference import Reference
from .engines.decode import repository
from .model import Container

__all__ = ["Application", "application_of", "image_name", "reference_of"]

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
    The application of one dewy: its names, and which containers belong to it.

    Attributes:
        name: The application's name, as users know it and as the original labelled it.

        repository: `HOST/PATH` of its images, as the engine knows them.

        named: Whether the operator chose the name, which then identifies the
            application whatever its images are.

        root: The root of this dewy, `HOST:PATH`; "" where containers are not labelled
            with it.

        adopted: The ids of the containers found when this dewy began; None until then.
            Containers that other roots create later belong to another dewy.
    """

    name: str
    repository: str
    named: bool = False
    root: str = ""
    adopted: frozenset[str] | None = None

    @property
    def identity(self) -> str:
        """Text that differs from that of any other application on this host."""
        return self.name if self.named else _without_port(self.repository)

    @property
    def network(self) -> str:
        """Name of the application's own bridge network."""
        tail = hashlib.sha256(f"{self.name} {self.identity}".encode()).hexdigest()[:8]
        return f"dewy-{self.name}-{tail}"

    @property
    def image_repository(self) -> str:
        """
        Repository of the application's own tags, which protect images from pruning.

        No registry has this name: nothing is pulled from it or pushed to it.
        """
        name = re.sub(r"[^a-z0-9]+", "-", self.network.lower())
        return f"localhost/{name}"

    def image_tag(self, digest: str) -> str:
        """Return the application's own tag for the image with *digest*."""
        word = digest.replace(":", "-")[:LONGEST_TAG]
        return f"{self.image_repository}:{word}"

    @property
    def selector(self) -> dict[str, str | None]:
        """Labels of all its containers; other applications' may have them too."""
        return {MANAGED: "true", APP: self.name}

    def owns(self, container: Container) -> bool:
        """
        Return whether *container* belongs to this application.

        The original did not label the owner: its containers belong to this application
        if they were created from the application's images.
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
        """
        Return whether no other root created *container* while this dewy was running.
        """
        known = self.adopted is None or container.id in self.adopted
        return known or container.labels.get(ROOT, "") in {"", self.root}

    def having(self, adopted: Iterable[str]) -> Application:
        """Return this application with the ids of the containers its dewy *adopted*."""
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
    """Return *name* without the port that a registry has anyway."""
    return _DEFAULT_PORT.sub("", name, count=1)


def image_name(container: Container) -> str:
    """Return the image of *container* by its tag, as the original showed it."""
    repository, digest, _ = container.image.partition("@")
    version = container.labels.get(VERSION, "")
    return f"{repository}:{version}" if digest and version else container.image


def index_of(labels: Mapping[str, str]) -> int:
    """Return the replica number in *labels*; -1 where there is none."""
    text = labels.get(REPLICA, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else -1


def ports_of(container: Container, wanted: Sequence[PortMapping]) -> dict[int, int]:
    """
    Return the port of *container* for each of *wanted* that it serves, by position.

    The container may have been created for other mappings. The container port wanted
    now counts if the container has it; otherwise the port it was created with for the
    same port of the proxy.
    """
    made = _made_for(container.labels.get(PORTS, ""))
    ports = [port for _, port in made]
    known = set(ports) or set(container.published)
    if _is_as_wanted(ports, wanted):
        # Whichever proxy ports it was created for: it is not replaced for that alone.
        return dict(enumerate(ports))
    if len(known) == len(wanted) == 1:
        return dict(enumerate(known))
    image = _left_to_the_image(known, wanted, stated=bool(made))
    found = {}
    for place, each in enumerate(wanted):
        own = each.container if each.container in known else 0
        guess = 0 if each.container else image
        if port := own or dict(made).get(each.proxy, 0) or guess:
            found[place] = port
    return found


def _made_for(label: str) -> list[tuple[int, int]]:
    """Return pairs of the proxy's port and the container's, as *label* holds them."""
    pairs = (pair.partition(":")[::2] for pair in label.split(","))
    return [(int(a), int(b)) for a, b in pairs if a.isdecimal() and b.isdecimal()]


def _is_as_wanted(made: Sequence[int], wanted: Sequence[PortMapping]) -> bool:
    """Return whether ports *made* may be those *wanted*, in the same order."""
    if len(made) != len(wanted):
        return False
    pairs = list(zip(wanted, made, strict=True))
    image = {port for each, port in pairs if not each.container}
    return len(image) < 2 and all(each.container in {0, port} for each, port in pairs)


def _left_to_the_image(
    known: Set[int], wanted: Iterable[PortMapping], *, stated: bool
) -> int:
    """
    Return the one port of *known* that the image exposes; 0 if none is left to it.

    The original, which did not state its ports (*stated* is False), published that port
    and those given to it.
    """
    unnamed = known - {each.container for each in wanted}
    likely = (unnamed or known) if not stated or unnamed == known else ()
    return next(iter(likely)) if len(likely) == 1 else 0


def reference_of(repository: str, digest: str) -> str:
    """Return the reference of the image with *digest* in *repository*."""
    return f"{repository}@{digest}"


def application_of(settings: Settings) -> Application:
    """Return the application whose containers are kept with *settings*."""
    return Application(
        app_name(settings.registry, settings.name),
        str(Reference.of(urls.split(settings.registry))),
        named=bool(settings.name),
        root=f"{socket.gethostname()}:{settings.root}",
    )
