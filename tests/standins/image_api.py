"""
An image registry that does what a real one on loopback can't be made to do.

It pages its tags, has ETags, names foreign hosts, refuses HEAD, hangs, lies.
"""

from __future__ import annotations

import asyncio
import json
from typing import Self

from aiohttp import web

from tests.standins.files import Fault, Seen, answer
from tests.standins.image_signatures import Signed, manifest
from tests.standins.pushed_images import digest_of

MANIFEST = b'{"schemaVersion": 2}'


class ImageAPI:
    """
    The repository `app`.

    Attributes:
        digests: What each tag stands for.

        page: How many tags are on a page; 0 for all of them.

        link: The Link header of pages with another one behind, if not ours;
            `{next}` in it is the path and query of that.

        challenge: Each 401 has this; None to let everybody in.

        accepted: The values of Authorization that are let in.

        heads: How HEAD is answered; 200 is as it should be.

        digest_header: Whether the digest is in the headers.

        etag: The ETag of every list, or "".

        redirect: Where all requests are sent, or "".

        faults: Each befalls one request, in this order.

        most: The largest page that may be asked for; 400 to what wants more.

        indexes: The index that a digest names, where it names one.

        files: The answers to further paths in the repository.

        seen: Every request so far.
    """

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.page = 0
        self.link = '<{next}>; rel="next"'
        self.challenge: str | None = None
        self.accepted: set[str] = set()
        self.heads = 200
        self.digest_header = True
        self.etag = ""
        self.redirect = ""
        self.faults: list[Fault] = []
        self.most = 0
        self.indexes: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.seen: list[Seen] = []
        self.host = ""
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._any)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._runner.cleanup()

    def tag(self, *tags: str) -> None:
        """Add *tags*, each of an image of its own."""
        self.digests |= {tag: digest_of(tag.encode()) for tag in tags}

    def tag_index(self, tag: str, *platforms: str) -> None:
        """Add *tag*, of an index with an image for each of the *platforms*."""
        entries = []
        for each in platforms:
            os, arch = each.split("/")
            platform = {"os": os, "architecture": arch}
            entries.append({"digest": digest_of(each.encode()), "platform": platform})
        index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        self.digests[tag] = digest_of(index)
        self.indexes[self.digests[tag]] = index

    def sign(self, digest: str, *signed: Signed) -> None:
        """Put signatures beside the image *digest*, the newest last."""
        tag, described = f"{digest.replace(':', '-')}.sig", manifest(*signed)
        self.files[f"manifests/{tag}"] = json.dumps(described).encode()
        for each in signed:
            self.files[f"blobs/{digest_of(each.payload)}"] = each.payload

    def asked(self) -> list[str]:
        """Method and path of each request so far."""
        return [f"{seen.method} {seen.path.partition('?')[0]}" for seen in self.seen]

    def shown(self) -> list[str]:
        """The Authorization of each request so far."""
        return [seen.headers.get("Authorization", "") for seen in self.seen]

    async def _any(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, request.headers.copy()))
        if self.faults:
            return await answer(request, self.faults.pop(0), {}, self._ended)
        if self.redirect:
            location = {"Location": f"{self.redirect}{request.raw_path}"}
            return web.Response(status=307, headers=location)
        if self.challenge is not None and (
            request.headers.get("Authorization") not in self.accepted
        ):
            return web.Response(
                status=401, headers={"WWW-Authenticate": self.challenge}
            )
        path = request.path.removeprefix("/v2/app/")
        if path in self.files:
            return web.Response(body=self.files[path])
        if request.path == "/v2/app/tags/list":
            return self._list(request)
        return self._manifest(request)

    def _list(self, request: web.Request) -> web.Response:
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        if self.most and int(request.query.get("n", 0)) > self.most:
            return web.json_response({"errors": []}, status=400)
        tags = list(self.digests)
        start = tags.index(request.query["last"]) + 1 if "last" in request.query else 0
        shown = tags[start : start + self.page] if self.page else tags
        headers = {"ETag": self.etag} if self.etag else {}
        if self.page and start + self.page < len(tags):
            following = f"/v2/app/tags/list?n={self.page}&last={shown[-1]}"
            headers["Link"] = self.link.format(next=following)
        return web.json_response({"name": "app", "tags": shown}, headers=headers)

    def _manifest(self, request: web.Request) -> web.Response:
        tag = request.path.rpartition("/")[2]
        digest = self.digests.get(tag, tag)
        if tag not in self.digests and tag not in self.indexes:
            return web.Response(status=404)
        if request.method == "HEAD" and self.heads != 200:
            return web.Response(status=self.heads)
        headers = {"Docker-Content-Digest": digest} if self.digest_header else {}
        if digest in self.indexes:
            headers["Content-Type"] = "application/vnd.oci.image.index.v1+json"
        return web.Response(body=self.indexes.get(digest, MANIFEST), headers=headers)
