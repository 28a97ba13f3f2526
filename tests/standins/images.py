"""Images of the test application: built once, pushed by hand, no engine needed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import aiohttp

from tests.standins import image_signatures

SOURCES = Path(__file__).parent / "app"
DOCKER = "application/vnd.docker"
TYPES = {
    "config": f"{DOCKER}.container.image.v1+json",
    "layer": f"{DOCKER}.image.rootfs.diff.tar.gzip",
    "manifest": f"{DOCKER}.distribution.manifest.v2+json",
    "list": f"{DOCKER}.distribution.manifest.list.v2+json",
}
HEALTHCHECK = {
    "Test": ["CMD", "/app", "check"],
    "Interval": 500_000_000,
    "Timeout": 5_000_000_000,
    "Retries": 2,
}
"""What `healthcheck=True` gives an image; in nanoseconds."""

PERIOD = bytes((i * 2654435761 % 2**32) >> 24 for i in range(65521))


def pattern(length: int) -> bytes:
    """What the application answers to `/bytes/LENGTH`."""
    return (PERIOD * (length // len(PERIOD) + 1))[:length]


@cache
def binary() -> bytes:
    """The application, statically linked."""
    return _linked(tuple(sorted(SOURCES.glob("*.c"))))


def _linked(sources: Sequence[Path]) -> bytes:
    with TemporaryDirectory() as directory:
        made = Path(directory) / "app"
        subprocess.run(
            ["gcc", "-O2", "-static", "-s", "-o", made, *sources, "-lpthread"],
            check=True,
            timeout=120,
        )
        return made.read_bytes()


@cache
def layer() -> tuple[bytes, str]:
    """The only layer, packed, and the digest of what is in it."""
    return _packed("app", binary())


def _packed(name: str, content: bytes) -> tuple[bytes, str]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1, mtime=0), digest(packed.getvalue())


@cache
def compiled(name: str, source: str) -> Program:
    """A program of its own, from *source* in C."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / f"{name}.c"
        file.write_text(source, encoding="utf-8")
        return Program(*_packed(name, _linked((file,))), (f"/{name}",))


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Program:
    """
    What an image holds.

    Attributes:
        packed: Its only layer, as a gzipped tar.

        unpacked: The digest of that tar.

        entrypoint: What is started.
    """

    packed: bytes
    unpacked: str
    entrypoint: tuple[str, ...]


@dataclass(frozen=True)
class Pushed:
    """
    An image in the registry.

    Attributes:
        tagged: `HOST/REPOSITORY:TAG`.

        by_digest: `HOST/REPOSITORY@sha256:…`.
    """

    repository: str
    tag: str
    digest: str

    @property
    def tagged(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def by_digest(self) -> str:
        return f"{self.repository}@{self.digest}"


class Publisher:
    """
    Pushes images of the application to a registry.

    Args:
        host: The registry's.

        labels: On each image, and so on each of its containers.
    """

    def __init__(
        self,
        host: str,
        labels: Mapping[str, str],
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.host = host
        self.labels = dict(labels)
        self._session: aiohttp.ClientSession
        self._headers: dict[str, str] = {}
        if credentials:
            shown = base64.b64encode(":".join(credentials).encode()).decode()
            self._headers["Authorization"] = f"Basic {shown}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            f"http://{self.host}", headers=self._headers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def publish(
        self,
        repository: str,
        tag: str,
        *,
        env: Mapping[str, str] | None = None,
        ports: Sequence[int] = (8080,),
        labels: Mapping[str, str] | None = None,
        healthcheck: bool = False,
        volumes: Sequence[str] = (),
        platforms: Sequence[str] = (),
        program: Program | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> Pushed:
        """
        Put `HOST/REPOSITORY:TAG` into the registry; /version answers *tag*.

        Args:
            env: Baked in; the application's behaviour.

            platforms: An index of one image for each, all of the same program.

            program: Another than the application.

            sign: Signs it before it is tagged.
        """
        name = f"{self.host}/{repository}"
        program = program or Program(*layer(), ("/app",))
        config = {
            "Env": [f"{k}={v}" for k, v in {"APP_VERSION": tag, **(env or {})}.items()],
            "Entrypoint": list(program.entrypoint),
            "ExposedPorts": {f"{port}/tcp": {} for port in ports},
            # Equal images of two repositories would be one image to an engine.
            "Labels": {**self.labels, "dewy.test.of": name, **(labels or {})},
            **({"Healthcheck": HEALTHCHECK} if healthcheck else {}),
            **({"Volumes": {place: {} for place in volumes}} if volumes else {}),
        }
        if not platforms:
            manifest = await self._image(repository, config, "linux/amd64", program)
        else:
            manifest = await self._index(repository, config, platforms, program)
        if sign is not None:
            await self._sign(repository, manifest, sign)
        await self._put(repository, tag, manifest)
        return Pushed(name, tag, digest(json.dumps(manifest).encode()))

    async def _sign(
        self,
        repository: str,
        manifest: Mapping[str, Any],
        sign: Callable[[bytes], bytes],
    ) -> None:
        """Put a signature of *manifest* into the repository, as cosign does."""
        name = digest(json.dumps(manifest).encode())
        payload = image_signatures.payload(name)
        described = image_signatures.manifest(
            image_signatures.Signed(payload, sign(payload))
        )
        for content in (payload, image_signatures.EMPTY):
            await self._blob(repository, "layer", content)
        await self._put(repository, f"{name.replace(':', '-')}.sig", described)

    async def _image(
        self,
        repository: str,
        config: Mapping[str, Any],
        platform: str,
        program: Program,
    ) -> dict[str, Any]:
        """The manifest of one image, whose blobs are there."""
        system, architecture = platform.split("/")
        whole = {
            "os": system,
            "architecture": architecture,
            "created": "2031-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [program.unpacked]},
        }
        return {
            "schemaVersion": 2,
            "mediaType": TYPES["manifest"],
            "config": await self._blob(
                repository, "config", json.dumps(whole).encode()
            ),
            "layers": [await self._blob(repository, "layer", program.packed)],
        }

    async def _index(
        self,
        repository: str,
        config: Mapping[str, Any],
        platforms: Sequence[str],
        program: Program,
    ) -> dict[str, Any]:
        entries = []
        for platform in platforms:
            manifest = await self._image(repository, config, platform, program)
            content = json.dumps(manifest).encode()
            await self._put(repository, digest(content), manifest)
            system, architecture = platform.split("/")
            entries.append(
                {
                    "mediaType": TYPES["manifest"],
                    "digest": digest(content),
                    "size": len(content),
                    "platform": {"os": system, "architecture": architecture},
                }
            )
        return {"schemaVersion": 2, "mediaType": TYPES["list"], "manifests": entries}

    async def _put(
        self, repository: str, reference: str, manifest: Mapping[str, Any]
    ) -> None:
        headers = {"Content-Type": str(manifest["mediaType"])}
        path = f"/v2/{repository}/manifests/{reference}"
        async with self._session.put(
            path, data=json.dumps(manifest).encode(), headers=headers
        ) as answer:
            assert answer.status == 201, await answer.text()

    async def _blob(
        self, repository: str, kind: str, content: bytes
    ) -> dict[str, object]:
        name = digest(content)
        path = f"/v2/{repository}/blobs"
        async with self._session.head(f"{path}/{name}") as there:
            present = there.status == 200
        if not present:
            async with self._session.post(f"{path}/uploads/") as begun:
                assert begun.status == 202, await begun.text()
                place = begun.headers["Location"]
            mark = "&" if "?" in place else "?"
            async with self._session.put(
                f"{place}{mark}digest={name}",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
            ) as answer:
                assert answer.status == 201, await answer.text()
        return {"mediaType": TYPES[kind], "digest": name, "size": len(content)}

    async def delete(self, pushed: Pushed) -> None:
        """Take the image out of the registry again."""
        path = pushed.repository.partition("/")[2]
        async with self._session.delete(
            f"/v2/{path}/manifests/{pushed.digest}"
        ) as answer:
            assert answer.status == 202, await answer.text()
