"""
GitHub's REST API on loopback, as far as releases need it.

Written from docs.github.com/rest: pages with Link headers, ETags whose 304 is
not billed, drafts, assets that redirect to a second origin which refuses an
Authorization header, uploads, rate limits, App tokens, Enterprise's prefixes.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.standins.files import Fault, FileServer, Seen, answer
from tests.standins.github_app import Apps

TOKEN = "ghp_operators_own"


@dataclass
class Asset:
    """A file of a release; `digest` is stated unless a test takes it away."""

    id: int
    name: str
    data: bytes
    state: str = "uploaded"
    digest: str | None = ""
    updated_at: str = "2031-01-01T00:00:00Z"
    content_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        if self.digest == "":
            self.digest = "sha256:" + hashlib.sha256(self.data).hexdigest()


@dataclass
class Release:
    """
    A release; drafts have no time of publication.

    `odd` takes the place of what is told of it.
    """

    id: int
    tag: str
    draft: bool = False
    published_at: str | None = "2031-01-01T00:00:00Z"
    assets: list[Asset] = field(default_factory=list)
    odd: dict[str, Any] = field(default_factory=dict)


class GitHubServer:
    """
    One repository, `acme/app`, on a GitHub of its own.

    Attributes:
        api: Base URL of the API, for `GITHUB_API_URL`.

        store: Where assets really are; another origin.

        releases: Newest first.

        faults: Each befalls one request to the API, in this order.

        seen: Every request to the API, with `statuses` in the same order.

        billed: Requests that count against the rate limit.

        public: Those without a token may look.

        uploads_at: What releases name as the place for uploads; a test may
            point it elsewhere.
    """

    def __init__(self, prefix: str = "/api/v3", uploads: str = "/api/uploads") -> None:
        self.releases: list[Release] = []
        self.store = FileServer()
        self.store.refuse_authorization = True
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.statuses: list[int] = []
        self.billed = 0
        self.remaining = 5000
        self.public = False
        self.tokens = {TOKEN}
        self.apps = Apps(self.tokens)
        self.origin = self.api = self.uploads_at = ""
        self._prefix, self._uploads = prefix, uploads
        self._ids = itertools.count(1)
        self._ended = asyncio.Event()
        self._runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=1.0
        )

    async def __aenter__(self) -> Self:
        await self.store.__aenter__()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.api = f"{self.origin}{self._prefix}"
        self.uploads_at = f"{self.origin}{self._uploads}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._runner.cleanup()
        await self.store.__aexit__()

    def publish(
        self, tag: str, assets: Mapping[str, bytes] | None = None, **attributes: Any
    ) -> Release:
        """Add a release in front of the others."""
        release = Release(next(self._ids), tag, **attributes)
        for name, data in (assets or {}).items():
            self.attach(release, name, data)
        self.releases.insert(0, release)
        return release

    def attach(
        self, release: Release, name: str, data: bytes, **attributes: Any
    ) -> Asset:
        """Add an asset to *release*."""
        asset = Asset(next(self._ids), name, data, **attributes)
        release.assets.append(asset)
        self.store.files[f"/blob/{asset.id}"] = data
        return asset

    def paths(self) -> list[str]:
        """Method and path of each request so far, below the prefix."""
        return [
            f"{seen.method} {seen.path.removeprefix(self._prefix)}"
            for seen in self.seen
        ]

    def forget(self) -> None:
        """Count from here."""
        self.seen.clear()
        self.statuses.clear()
        self.billed = 0

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._admit], client_max_size=1 << 30)
        releases = f"{self._prefix}/repos/acme/app/releases"
        app.router.add_get(releases, self._list)
        app.router.add_get(f"{releases}/tags/{{tag}}", self._by_tag)
        app.router.add_get(f"{releases}/assets/{{id}}", self._asset)
        uploads = f"{self._uploads}/repos/acme/app/releases/{{id}}/assets"
        app.router.add_post(uploads, self._upload)
        for prefix in {"/api/v3", self._prefix}:
            path = f"{prefix}/app/installations/{{id}}/access_tokens"
            app.router.add_post(path, self._token)
        return app

    @web.middleware
    async def _admit(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, request.headers.copy()))
        response = await self._judge(request, handler)
        if response.status != 304:
            self.billed += 1
            self.remaining -= 1
        self.statuses.append(response.status)
        response.headers.update(self._limits() | dict(response.headers))
        return response

    async def _judge(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        if self.faults:
            return await answer(request, self.faults.pop(0), {}, self._ended)
        if "User-Agent" not in request.headers:
            return refused(403, "Please make sure your request has a User-Agent")
        if not request.path.endswith("/access_tokens"):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if not token and not (self.public and request.method == "GET"):
                return refused(404, "Not Found")
            if not token:
                pass
            elif scheme != "Bearer" or token not in self.tokens:
                return refused(401, "Bad credentials")
        if self.remaining <= 0:
            return refused(403, "API rate limit exceeded for user ID 1.")
        try:
            return await handler(request)
        except web.HTTPException as exc:
            return refused(exc.status, exc.reason)

    def _limits(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(max(0, self.remaining)),
            "X-RateLimit-Reset": str(int(time.time()) + 1200),
        }

    async def _list(self, request: web.Request) -> web.Response:
        size = min(int(request.query.get("per_page", 30)), 100)
        page = int(request.query.get("page", 1))
        last = max(1, math.ceil(len(self.releases) / size))
        shown = self.releases[(page - 1) * size : page * size]
        links = [
            f'<{self.origin}{request.path}?per_page={size}&page={number}>; rel="{rel}"'
            for rel, number in (("prev", page - 1), ("next", page + 1), ("last", last))
            if 1 <= number <= last and number != page
        ]
        response = conditional(request, [self._json(release) for release in shown])
        if links:
            response.headers["Link"] = ", ".join(links)
        return response

    async def _by_tag(self, request: web.Request) -> web.Response:
        tag = request.match_info["tag"]
        for release in self.releases:
            if release.tag == tag and not release.draft:
                return conditional(request, self._json(release))
        return refused(404, "Not Found")

    async def _asset(self, request: web.Request) -> web.Response:
        for release in self.releases:
            for asset in release.assets:
                if str(asset.id) == request.match_info["id"]:
                    return self._deliver(request, asset)
        return refused(404, "Not Found")

    def _deliver(self, request: web.Request, asset: Asset) -> web.Response:
        if request.headers.get("Accept") != "application/octet-stream":
            return conditional(request, self._asset_json(asset))
        # Another signature each time, with what a careless client requotes.
        signature = f"sig=a%2Fb%2B{next(self._ids)}%3D"
        location = f"{self.store.url}/blob/{asset.id}?{signature}"
        return web.Response(status=302, headers={"Location": location})

    async def _upload(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        release = next((r for r in self.releases if str(r.id) == wanted), None)
        if release is None:
            return refused(404, "Not Found")
        name = request.query["name"]
        if name in {asset.name for asset in release.assets}:
            return refused(422, "Validation Failed")
        asset = self.attach(
            release, name, await request.read(), content_type=request.content_type
        )
        return web.json_response(self._asset_json(asset), status=201)

    async def _token(self, request: web.Request) -> web.Response:
        return self.apps.installation_token(request)

    def _json(self, release: Release) -> dict[str, Any]:
        where = f"repos/acme/app/releases/{release.id}/assets"
        return {
            "id": release.id,
            "tag_name": release.tag,
            "name": release.tag,
            "draft": release.draft,
            "prerelease": False,
            "created_at": "2031-01-01T00:00:00Z",
            "published_at": None if release.draft else release.published_at,
            "upload_url": f"{self.uploads_at}/{where}{{?name,label}}",
            "assets": [self._asset_json(asset) for asset in release.assets],
            **release.odd,
        }

    def _asset_json(self, asset: Asset) -> dict[str, Any]:
        return {
            "id": asset.id,
            "name": asset.name,
            "content_type": asset.content_type,
            "size": len(asset.data),
            "state": asset.state,
            "digest": asset.digest,
            "updated_at": asset.updated_at,
        }


def conditional(request: web.Request, document: object) -> web.Response:
    """A document with its ETag, or 304 if the client has it."""
    body = json.dumps(document).encode()
    etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag})
    return web.Response(
        body=body, content_type="application/json", headers={"ETag": etag}
    )


def refused(status: int, message: str) -> web.Response:
    """An error as GitHub words them."""
    return web.json_response({"message": message, "status": str(status)}, status=status)


def ago(seconds: float) -> str:
    """A time as GitHub writes it."""
    return f"{datetime.fromtimestamp(time.time() - seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
