"""Images made and pushed by hand, without an engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class BuiltImage:
    """An image of one layer: its manifest, and what that is made of."""

    manifest: bytes
    blobs: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def image(
    files: Mapping[str, bytes],
    *,
    architecture: str = "amd64",
    config: Mapping[str, object] | None = None,
) -> BuiltImage:
    """An image with *files*; the same for the same arguments."""
    layer = _tar(files)
    description = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
    }
    packed, described = gzip.compress(layer, mtime=0), json.dumps(description).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, described),
        "layers": [_descriptor(LAYER, packed)],
    }
    return BuiltImage(json.dumps(manifest).encode(), (described, packed))


def index(images: Mapping[str, BuiltImage]) -> bytes:
    """A list of *images* by their architecture."""
    manifests = [
        {
            **_descriptor(MANIFEST, each.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, each in images.items()
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return json.dumps(document).encode()


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


class Pusher:
    """
    Pushes to one registry.

    Args:
        headers: What each request carries, such as an Authorization.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._headers = dict(headers or {})

    async def push(self, repository: str, tag: str, built: BuiltImage) -> str:
        """Push *built* as *tag*; returns its digest."""
        async with aiohttp.ClientSession(headers=self._headers) as session:
            await self._parts(session, repository, built)
            return await self._put(session, repository, tag, MANIFEST, built.manifest)

    async def push_index(
        self, repository: str, tag: str, images: Mapping[str, BuiltImage]
    ) -> str:
        """Push *images*, and as *tag* the list of them; returns the list's digest."""
        async with aiohttp.ClientSession(headers=self._headers) as session:
            for each in images.values():
                await self._parts(session, repository, each)
                await self._put(
                    session, repository, each.digest, MANIFEST, each.manifest
                )
            return await self._put(session, repository, tag, INDEX, index(images))

    async def _parts(
        self, session: aiohttp.ClientSession, repository: str, built: BuiltImage
    ) -> None:
        for blob in built.blobs:
            where = f"{self._url}/v2/{repository}/blobs/uploads/"
            async with session.post(where) as begun:
                assert 202 == begun.status, await begun.text()
                upload = URL(begun.headers["Location"]).update_query(
                    digest=digest_of(blob)
                )
            async with session.put(upload, data=blob) as done:
                assert 201 == done.status, await done.text()

    async def _put(
        self,
        session: aiohttp.ClientSession,
        repository: str,
        name: str,
        kind: str,
        document: bytes,
    ) -> str:
        async with session.put(
            f"{self._url}/v2/{repository}/manifests/{name}",
            data=document,
            headers={"Content-Type": kind},
        ) as done:
            assert 201 == done.status, await done.text()
            return done.headers["Docker-Content-Digest"]
