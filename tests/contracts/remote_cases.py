"""The cases of what is remote: GitHub and plain HTTP, each with its stand-in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
from tests.contracts.cases import (
    ARTIFACT,
    ArtifactsCase,
    Files,
    RegistryCase,
    asynchronous,
    selection,
)
from tests.standins.files import FileServer
from tests.standins.github import TOKEN, GitHubServer


@asynccontextmanager
async def github() -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GITHUB_API_URL", server.api)
            patch.setenv("GITHUB_TOKEN", TOKEN)
            yield server


@asynccontextmanager
async def github_registry(tmp_path: Path) -> AsyncIterator[RegistryCase]:
    async with github() as server, Clients() as clients:

        def publish(tag: str, files: Files) -> None:
            server.releases[:] = [r for r in server.releases if r.tag != tag]
            server.publish(tag, files)

        def records(tag: str) -> list[str]:
            assets = [a.name for r in server.releases if r.tag == tag for a in r.assets]
            return [name for name in assets if name.startswith("shipped_")]

        yield RegistryCase(
            open=lambda query, slot: REGISTRIES.open(
                f"ghr://acme/app{query}", selection(slot), clients
            ),
            publish=asynchronous(publish),
            break_down=server._runner.cleanup,
            records=asynchronous(records),
        )


@asynccontextmanager
async def github_artifacts(tmp_path: Path) -> AsyncIterator[ArtifactsCase]:
    content, beside = os.urandom(3_000_000), ("SHA256SUMS", b"sums")
    async with github() as server, Clients() as clients:
        server.publish("v1.0.0", {ARTIFACT: content, beside[0]: beside[1]})
        url = f"ghr://acme/app/tag/v1.0.0/{ARTIFACT}"
        yield ArtifactsCase(
            store=ARTIFACTS.open(url, clients),
            release=Release("v1.0.0", url, "one", size=len(content)),
            content=content,
            beside=beside,
            break_down=asynchronous(server.store.files.clear),
        )


@asynccontextmanager
async def http_artifacts(tmp_path: Path) -> AsyncIterator[ArtifactsCase]:
    content, beside = os.urandom(3_000_000), ("SHA256SUMS", b"sums")
    async with FileServer() as server, Clients() as clients:
        server.files = {
            f"/v1.0.0/{ARTIFACT}": content,
            f"/v1.0.0/{beside[0]}": beside[1],
        }
        url = f"{server.url}/v1.0.0/{ARTIFACT}"
        yield ArtifactsCase(
            store=ARTIFACTS.open(url, clients),
            release=Release("v1.0.0", url, "one", size=len(content)),
            content=content,
            beside=beside,
            break_down=asynchronous(server.files.clear),
        )
