"""A dewy that keeps containers on an engine in memory, from its start to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from dewy.admin.handlers import Handlers
from dewy.config import PortMapping, Reloadable, Settings
from dewy.containers.replica_set import ReplicaSet
from dewy.daemon import container
from dewy.daemon.runtime import Endpoints, RunContext
from dewy.errors import RemoteError
from dewy.registries.candidates import Candidates, Options
from dewy.release import Deployment, Release
from dewy.signals import Signals
from dewy.system import Clock
from dewy.systemd import Service
from dewy.versions import Selection, Version
from tests.standins.crews import REPOSITORY, Bench
from tests.standins.memory_host import MemoryHost


@dataclass
class Names:
    """A registry that names what it is told to; `None` is an outage."""

    release: Release | None = None
    asked: int = 0

    async def current(self, tag: str | None = None) -> Release:
        self.asked += 1
        if self.release is None:
            raise RemoteError("the registry is away")
        return self.release

    async def report(self, deployment: Deployment) -> None:
        pass


class Listing(Names):
    """A registry that lists several versions."""

    def __init__(self, host: MemoryHost, *tags: str) -> None:
        super().__init__()
        self._releases = {tag: published(host, tag) for tag in tags}

    async def candidates(self) -> Candidates:
        options = Options.read(urlsplit("mem://here"), Selection())

        async def details(version: Version) -> Release:
            return self._releases[version.tag]

        return options.candidates(self._releases, "here", details, costly=False)


def published(host: MemoryHost, tag: str) -> Release:
    """Publish the image of *tag*."""
    name = host.publish(f"{REPOSITORY}:{tag}", labels={"version": tag})
    return Release(tag, f"img://{REPOSITORY}:{tag}", name.partition("@")[2])


@dataclass
class Life:
    """A dewy that runs."""

    handlers: Handlers
    host: MemoryHost
    registry: Names
    context: RunContext

    @property
    def replica_set(self) -> ReplicaSet:
        return cast("ReplicaSet", self.handlers._replica_set)

    @property
    def serving(self) -> list[str]:
        return sorted(r.version for r in self.replica_set.deployer.store.serving)

    async def see(self, tag: str) -> None:
        """The registry names *tag*, and dewy looks."""
        self.registry.release = published(self.host, tag)
        await self.handlers.poller.once()


@asynccontextmanager
async def alive(
    root: Path,
    host: MemoryHost,
    registry: Names | None = None,
    service: Service | None = None,
    **given: Any,
) -> AsyncIterator[Life]:
    usual: dict[str, Any] = {
        "command": "container",
        "registry": f"img://{REPOSITORY}",
        "port_mappings": (PortMapping(0, 8080),),
        "replicas": 2,
        "min_healthy": 0.0,
        "health_path": "/up",
        "upstream": "published",
        "drain_time": 1.0,
        "proxy_threads": 0,
    }
    settings = Settings(root=root, cache_dir=root / ".dewy" / "cache", **usual | given)
    registry = registry or Names()
    host.run = Bench(host, settings, None).run  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        outside = Endpoints(registry, None, (), None)  # type: ignore[arg-type]
        signals = stack.enter_context(Signals())
        service = service or Service()
        context = RunContext(
            Reloadable(settings),
            stack,
            service,
            signals,
            outside,
            Clock(),
            outer=stack,
            last=stack,
        )
        handlers = await container.replicate(context, lambda: settings)
        yield Life(handlers, host, registry, context)


async def lose_image(life: Life, tag: str) -> None:
    """Have an image gone from the host, and from the registry."""
    state = life.handlers.agent.state
    digest = next(each.identity for each in state.installed if each.tag == tag)
    reference = f"{REPOSITORY}@{digest}"
    gone = life.host.registry.pop(reference).image
    life.host.registry.pop(f"{REPOSITORY}:{tag}")
    life.host.images.pop(gone.id)
