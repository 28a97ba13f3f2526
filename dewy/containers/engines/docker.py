"""Docker, and Podman through the socket that implements Docker's API."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiodocker

from ... import urls
from ...errors import EngineError
from ...remotes.oci.credentials import Credentials
from ...system import boot_id
from ..model import Container, EngineLimits, Event, Image, LogLine, Network, Pulling
from . import decode, docker_images, docker_networks, event_stream
from .client import EngineClient
from .errors import going, gone, paused, secrets_of
from .opening import is_remote

UNTOLD = EngineLimits()

AT_ONCE = 8
"""Number of containers inspected concurrently."""

MARGIN = 4
"""Number of lines of the last second to read for each line requested."""


class DockerEngine:
    """
    Implementation of `Engine` over the socket; created by `open_engine`.

    Args:
        identity, rootless: See `Engine`.

        timers: Whether Podman has timers for HEALTHCHECKs.
    """

    def __init__(
        self,
        wire: EngineClient,
        *,
        identity: str,
        rootless: bool,
        timers: bool,
        limits: EngineLimits = UNTOLD,
        local: bool = True,
    ) -> None:
        self.flavour = "podman" if wire.libpod else "docker"
        self.identity = identity
        self.limits = limits
        self.rootless = rootless
        self.local = local
        self.address = urls.redact(wire.place.url)
        self._wire = wire
        self._creating = asyncio.Lock()
        self._runs_healthchecks = timers or not wire.libpod

    def __repr__(self) -> str:
        return f"<DockerEngine {self.flavour} at {self._wire.place.shown}>"

    async def containers(
        self, labels: Mapping[str, str | None] | None = None
    ) -> list[Container]:
        """See `Engine.containers`."""
        listed = await self._wire.containers(decode.label_filter(labels or {}))
        turn = asyncio.Semaphore(AT_ONCE)

        async def show(name: str) -> Container | None:
            async with turn:
                return await self.inspect(name)

        names = [entry.id for entry in listed]
        shown = await asyncio.gather(*map(show, names), return_exceptions=True)
        failures = [each for each in shown if isinstance(each, BaseException)]
        # A hung inspection of one says nothing of the others.
        if failures and len(failures) == len(shown):
            raise failures[0]
        return [each for each in shown if isinstance(each, Container)]

    async def inspect(self, container: str) -> Container | None:
        """See `Engine.inspect`."""
        data = await self._show(container)
        if data is None:
            return None
        async with self._wire.asking(f"inspect container {container}"):
            return decode.container(data)

    async def _show(self, container: str) -> dict[str, Any] | None:
        async with self._wire.asking(f"inspect container {container}"):
            try:
                found = self._wire.docker.containers.container(container)
                # An empty answer is no answer, and does not mean that the container is
                # absent.
                return dict(await found.show())
            except aiodocker.DockerError as exc:
                if gone(exc.status, exc.message):
                    return None
                raise

    async def create(self, name: str, spec: Mapping[str, Any]) -> str:
        """See `Engine.create`."""
        limit = self._wire.deadlines.change
        doing = f"create container {name}"
        async with self._wire.asking(doing, limit, secrets=secrets_of(spec)):
            made = await self._wire.docker.containers.create(dict(spec), name=name)
            return made.id

    async def start(self, container: str) -> None:
        """See `Engine.start`."""
        limit, refused = self._wire.deadlines.change, None
        doing = f"start container {container}"
        async with self._wire.asking(doing, limit):
            try:
                await self._wire.docker.containers.container(container).start()
            except aiodocker.DockerError as exc:
                refused = exc
        if refused is not None:
            secrets = await self._secrets(container)
            async with self._wire.asking(doing, secrets=secrets or ()):
                if secrets is None:
                    raise aiodocker.DockerError(refused.status, "it does not say why")
                raise refused

    async def _secrets(self, container: str) -> list[str] | None:
        """Return the secrets that a refusal to start may quote; None if unknown."""
        try:
            data = await self._show(container) or {}
            return secrets_of(data.get("Config") or {})
        except EngineError:
            return None

    async def stop(self, container: str, seconds: float) -> None:
        """See `Engine.stop`."""
        patience = max(0, math.ceil(seconds))
        limit = patience + self._wire.deadlines.margin
        found = self._wire.docker.containers.container(container)
        async with self._wire.asking(f"stop container {container}", limit):
            with _unless_gone():
                try:
                    await found.stop(t=patience)
                except aiodocker.DockerError as exc:
                    if not paused(exc.status, exc.message):
                        raise
                    # Podman stops no paused container.
                    await found.unpause()
                    await found.stop(t=patience)

    async def remove(
        self, container: str, *, force: bool = False, keep_volumes: bool = False
    ) -> None:
        """See `Engine.remove`."""
        limit = self._wire.deadlines.change
        found = self._wire.docker.containers.container(container)
        async with self._wire.asking(f"remove container {container}", limit):
            with _unless_gone():
                await found.delete(force=force, v=not keep_volumes)

    async def logs(self, container: str, lines: int) -> tuple[str, ...]:
        """See `Engine.logs`."""
        return tuple((await self._output(container, tail=lines)).splitlines()[-lines:])

    async def written(
        self, container: str, lines: int, after: int = 0
    ) -> tuple[LogLine, ...]:
        """See `Engine.written`."""
        found = await self._lines(container, tail=lines) if not after else []
        # Podman dates by the second: all of the last one tell their places in it.
        second = (found[-1].at if found else after) // decode.SECOND
        if second:
            last = await self._lines(container, tail=MARGIN * lines, since=second)
            found = [each for each in found if each.at // decode.SECOND < second]
            found += [each for each in last if each.at > after]
        return tuple(found[-lines:])

    async def _lines(self, container: str, **asked: int) -> list[LogLine]:
        return decode.lines(await self._output(container, timestamps=True, **asked))

    async def _output(self, container: str, **asked: Any) -> str:
        """Return both streams as one text; "" if it is gone, or kept elsewhere."""
        async with self._wire.asking(f"show the logs of container {container}"):
            try:
                pieces = await self._wire.docker.containers.container(container).log(
                    stdout=True, stderr=True, **asked
                )
            except aiodocker.DockerError as exc:
                if exc.status == 404 or "support reading" in exc.message:
                    return ""
                raise
            return "".join(pieces)

    async def check_health(self, container: str) -> bool | None:
        """See `Engine.check_health`."""
        if self._runs_healthchecks:
            return None
        limit = self._wire.deadlines.health
        async with self._wire.asking(f"check container {container}", limit):
            status, result = await self._wire.json(
                f"containers/{container}/healthcheck", self._wire.libpod
            )
            if status != 200:
                return None
            # Podman keeps the outcomes of earlier runs too, and no list of them.
            return bool(result["Status"] == "healthy" and not result["FailingStreak"])

    async def image(self, reference: str) -> Image | None:
        """See `Engine.image`."""
        return await docker_images.image(self._wire, reference)

    async def images(self, repository: str) -> list[Image]:
        """See `Engine.images`."""
        return await docker_images.images(self._wire, repository)

    async def pull(
        self,
        reference: str,
        credentials: Credentials | None,
        progress: Pulling,
        platform: str = "",
    ) -> None:
        """See `Engine.pull`."""
        await docker_images.pull(self._wire, reference, credentials, progress, platform)

    async def tag_image(self, image: str, tag: str) -> None:
        """See `Engine.tag_image`."""
        await docker_images.tag(self._wire, image, tag)

    async def remove_image(self, reference: str) -> bool:
        """See `Engine.remove_image`."""
        return await docker_images.remove(self._wire, reference)

    async def network(self, name: str) -> Network | None:
        """See `Engine.network`."""
        return await docker_networks.network(self._wire, name)

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """See `Engine.create_network`."""
        async with self._creating:
            await docker_networks.create(self._wire, name, labels)

    async def remove_network(self, name: str) -> bool:
        """See `Engine.remove_network`."""
        return await docker_networks.remove(self._wire, name)

    def events(
        self, labels: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """See `Engine.events`."""
        return event_stream.follow(self._wire, labels)


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Accept that there is no such container, or that it is being removed."""
    try:
        yield
    except aiodocker.DockerError as exc:
        if not (gone(exc.status, exc.message) or going(exc.status, exc.message)):
            raise


async def recognised(wire: EngineClient, *, systemd: bool, linux: bool) -> DockerEngine:
    """
    Return the engine at the other end of *wire*.

    Args:
        systemd: Whether systemd runs on this host, and with it Podman's timers.

        linux: Whether containers' networks are this host's own; elsewhere they are in a
            virtual machine.

    Raises:
        EngineError: the answer is not that of a container engine.
    """
    headers = await wire.ping()
    async with wire.asking("say what it is", wire.deadlines.hello):
        wire.agree(headers)
        about = await (_about_podman(wire) if wire.libpod else _about_docker(wire))
    return DockerEngine(
        wire,
        identity=about.identity,
        rootless=about.apart or not linux,
        timers=systemd and wire.place.local,
        limits=about.limits,
        local=not await is_remote(wire.place),
    )


@dataclass(frozen=True, slots=True)
class _About:
    """
    Facts that an engine tells of itself.

    Attributes:
        identity: See `Engine`.

        apart: Whether the engine has a network namespace, or a machine, of its own.

        limits: See `Engine`.
    """

    identity: str
    apart: bool
    limits: EngineLimits = UNTOLD


async def _about_docker(wire: EngineClient) -> _About:
    info = await wire.docker.system.info()
    options = info.get("SecurityOptions") or ()
    desktop = info.get("OperatingSystem") == "Docker Desktop"
    return _About(
        identity=f"docker {info.get('ID') or wire.place.url}",
        apart=desktop or any("rootless" in option for option in options),
        limits=EngineLimits(
            frozenset(info.get("Runtimes") or ()), int(info.get("NCPU") or 0)
        ),
    )


async def _about_podman(wire: EngineClient) -> _About:
    """Describe a Podman by its storage, for its `ID` changes with each request."""
    _, info = await wire.json("info", wire.libpod)
    host, rootless = info["host"], bool(info["host"]["security"]["rootless"])
    mapped = (host.get("idMappings") or {}).get("uidmap") or ()
    owners = [each["host_id"] for each in mapped if each["container_id"] == 0]
    owner = owners[0] if rootless and owners else 0
    boot = await asyncio.to_thread(boot_id)
    storage = info["store"]["graphRoot"]
    return _About(f"podman {boot} {host.get('hostname')} {storage} {owner}", rootless)
