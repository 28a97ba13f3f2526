"""
A stand-in for Google Cloud Storage, in a process of its own.

Written from the documentation of its JSON API and never compared with Google's:
objects with generations and preconditions, pages, ranges, uploads in one request
or resumable ones, and one write per second of an object. No credentials are asked for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import google_crc32c
from aiohttp import web

from tests.standins.serving import announce

Metadata = dict[str, Any]

APART = 1.0
"""Seconds between two writes of an object."""


@dataclass
class Stored:
    """An object: what is told of it, and its bytes."""

    told: Metadata
    content: bytes


@dataclass
class Session:
    """A resumable upload that has begun."""

    bucket: str
    name: str
    kind: str
    query: Mapping[str, str]
    received: bytearray = field(default_factory=bytearray)
    told: Metadata | None = None


class GCS:
    """Buckets by name, in memory."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {}
        self.sessions: dict[str, Session] = {}
        self._generations = itertools.count(time.time_ns() // 1000)
        self._written: dict[tuple[str, str], float] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 31)
        named = "/storage/v1/b/{bucket}/o/{name:.*}"
        app.add_routes(
            [
                web.post("/storage/v1/b", self.make_bucket),
                web.delete("/storage/v1/b/{bucket}", self.drop_bucket),
                web.get("/storage/v1/b/{bucket}/o", self.list),
                web.get(named, self.get),
                web.delete(named, self.delete),
                web.get(f"/download{named}", self.download),
                web.post("/upload/storage/v1/b/{bucket}/o", self.upload),
                web.put("/upload/storage/v1/b/{bucket}/o", self.resume),
                web.delete("/upload/storage/v1/b/{bucket}/o", self.cancel),
                web.get("/unfinished/{bucket}", self.unfinished),
            ]
        )
        return app

    async def make_bucket(self, request: web.Request) -> web.Response:
        self.buckets[(await request.json())["name"]] = {}
        return web.json_response({"kind": "storage#bucket"})

    async def drop_bucket(self, request: web.Request) -> web.Response:
        self.buckets.pop(request.match_info["bucket"], None)
        return web.Response(status=204)

    async def list(self, request: web.Request) -> web.Response:
        bucket, query = self._bucket(request), request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items: dict[str, Metadata | None] = {}
        for name in sorted(bucket):
            if not name.startswith(prefix):
                continue
            head, found, _ = name[len(prefix) :].partition(delimiter or "\0")
            folder = prefix + head + found
            items.setdefault(folder, None if found else bucket[name].told)
        return web.json_response(_page(items, query))

    async def get(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("alt") == "media":
            return await self.download(request)
        return web.json_response(self._stored(request).told)

    async def delete(self, request: web.Request) -> web.Response:
        stored = self._stored(request)
        del self._bucket(request)[stored.told["name"]]
        return web.Response(status=204)

    async def download(self, request: web.Request) -> web.StreamResponse:
        stored = self._stored(request)
        told, size = stored.told, len(stored.content)
        headers = {
            "X-Goog-Hash": f"crc32c={told['crc32c']},md5={told['md5Hash']}",
            "X-Goog-Generation": told["generation"],
            "X-Goog-Metageneration": "1",
            "X-Goog-Stored-Content-Length": str(size),
            "ETag": told["etag"],
        }
        stated = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if stated is None:
            return web.Response(body=stored.content, headers=headers)
        start, end = int(stated[1]), min(int(stated[2] or size), size - 1)
        if start >= size:
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        body = stored.content[start : end + 1]
        return web.Response(status=206, body=body, headers=headers)

    async def upload(self, request: web.Request) -> web.Response:
        self._bucket(request)
        if request.query["uploadType"] == "resumable":
            return await self._begin(request)
        told, content = _parts(await request.read(), request.headers["Content-Type"])
        bucket = request.match_info["bucket"]
        written = self._write(bucket, told["name"], content, told, request.query)
        return web.json_response(written)

    async def _begin(self, request: web.Request) -> web.Response:
        told = await request.json()
        kind = request.headers.get("X-Upload-Content-Type", "")
        bucket, query = request.match_info["bucket"], dict(request.query)
        self._require(bucket, told["name"], query)
        number = uuid.uuid4().hex
        self.sessions[number] = Session(bucket, told["name"], kind, query)
        where = request.url.with_query(uploadType="resumable", upload_id=number)
        return web.Response(headers={"Location": str(where)})

    async def resume(self, request: web.Request) -> web.Response:
        session = self.sessions[request.query["upload_id"]]
        stated = re.fullmatch(
            r"bytes (?:(\d+)-\d+|\*)/(\d+)", request.headers["Content-Range"]
        )
        assert stated is not None
        if stated[1] is not None and session.told is None:
            session.received[int(stated[1]) :] = await request.read()
        whole = session.told is not None or len(session.received) == int(stated[2])
        if not whole:
            last = len(session.received) - 1
            headers = {"Range": f"bytes=0-{last}"} if session.received else {}
            return web.Response(status=308, headers=headers)
        if session.told is None:
            session.told = self._write(
                session.bucket,
                session.name,
                bytes(session.received),
                {"contentType": session.kind},
                session.query,
            )
            session.received.clear()
        return web.json_response(session.told)

    async def cancel(self, request: web.Request) -> web.Response:
        self.sessions.pop(request.query["upload_id"], None)
        return web.Response(status=499)

    async def unfinished(self, request: web.Request) -> web.Response:
        bucket = request.match_info["bucket"]
        begun = [one for one in self.sessions.values() if one.bucket == bucket]
        return web.json_response(sum(one.told is None for one in begun))

    def _bucket(self, request: web.Request) -> dict[str, Stored]:
        try:
            return self.buckets[request.match_info["bucket"]]
        except KeyError:
            raise failure(404, "The specified bucket does not exist.") from None

    def _stored(self, request: web.Request) -> Stored:
        # Of a name with slashes in it all is quoted, so that it is one segment.
        name = unquote(request.rel_url.raw_path.split("/o/", 1)[1])
        stored = self._bucket(request).get(name)
        if stored is None:
            raise failure(404, f"No such object: {name}")
        self._require(request.match_info["bucket"], name, request.query)
        return stored

    def _require(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        stored = self.buckets[bucket].get(name)
        present = stored.told["generation"] if stored else "0"
        if query.get("ifGenerationMatch", present) != present:
            raise failure(412, "At least one of the pre-conditions did not hold.")

    def _limit(self, bucket: str, name: str) -> None:
        last = self._written.get((bucket, name), float("-inf"))
        if time.monotonic() - last < APART:
            raise failure(429, "The object exceeded the rate limit for mutations.")

    def _write(
        self,
        bucket: str,
        name: str,
        content: bytes,
        told: Metadata,
        query: Mapping[str, str],
    ) -> Metadata:
        # Nothing is awaited between looking and writing: one of many is first.
        self._limit(bucket, name)
        self._require(bucket, name, query)
        self._written[bucket, name] = time.monotonic()
        generation = str(next(self._generations))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": told.get("contentType", ""),
            "size": str(len(content)),
            "md5Hash": _text(hashlib.md5(content).digest()),
            "crc32c": _text(google_crc32c.Checksum(content).digest()),
            "etag": _text(generation.encode()),
            "timeCreated": now,
            "updated": now,
        }
        self.buckets[bucket][name] = Stored(metadata, content)
        return metadata


def failure(status: int, message: str) -> web.HTTPException:
    """An answer as Google's are, to be raised."""
    error = {"code": status, "message": message, "errors": [{"message": message}]}
    made = type("Failure", (web.HTTPException,), {"status_code": status})
    return made(text=json.dumps({"error": error}), content_type="application/json")


def _page(items: Mapping[str, Metadata | None], query: Mapping[str, str]) -> Metadata:
    after = query.get("pageToken", "")
    most = min(int(query.get("maxResults", 1000)), 1000)
    left = [(name, told) for name, told in items.items() if name > after]
    answer: Metadata = {
        "kind": "storage#objects",
        "items": [told for _, told in left[:most] if told is not None],
        "prefixes": [name for name, told in left[:most] if told is None],
    }
    if len(left) > most:
        answer["nextPageToken"] = left[most - 1][0]
    return answer


def _parts(body: bytes, kind: str) -> tuple[Metadata, bytes]:
    """The two parts of an upload in one request: what is told, and the bytes."""
    stated = re.search(r'boundary="?([^";]+)', kind)
    assert stated is not None
    boundary = b"--" + stated[1].strip("'").encode()
    _, first, rest = body.split(boundary, 2)
    content = rest.split(b"\r\n\r\n", 1)[1]
    end = content.rindex(b"\r\n" + boundary + b"--")
    return json.loads(first.split(b"\r\n\r\n", 1)[1]), content[:end]


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


async def main() -> None:
    runner = web.AppRunner(GCS().app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    announce(runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
