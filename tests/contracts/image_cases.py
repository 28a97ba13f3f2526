"""The case of images: a real registry of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dewy.registries import REGISTRIES
from dewy.remotes import Clients
from dewy.versions import Selection
from tests.contracts.cases import HERE, Files, RegistryCase, asynchronous
from tests.needs import require
from tests.standins.image_registry import ImageRegistryServer
from tests.standins.pushed_images import image


def tag(version: str) -> str:
    """A tag can't hold a `+`."""
    return version.replace("+", "-")


@asynccontextmanager
async def image_registry(tmp_path: Path) -> AsyncIterator[RegistryCase]:
    require("docker-registry")
    reports = tmp_path / "reports"
    server = ImageRegistryServer(tmp_path / "registry")
    async with server, Clients() as clients:
        pusher = server.pusher()

        async def publish(version: str, files: Files) -> None:
            name = tag(version)
            await pusher.push("app", name, image({**files, "tag": name.encode()}))

        def records(version: str) -> list[str]:
            stated = f"/app:{tag(version)} sha256:"
            found = reports.glob("*")
            return [path.name for path in found if stated in path.read_text()]

        yield RegistryCase(
            open=lambda query, slot: REGISTRIES.open(
                f"img://{server.host}/app{query}",
                Selection(slot, HERE, reports),
                clients,
            ),
            publish=publish,
            break_down=server.stop,
            records=asynchronous(records),
            tag=tag,
        )
