"""Buckets of Google Cloud Storage through Google's client. All calls block."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, quote, unquote, urljoin

from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage.exceptions import InvalidResponse

from ... import urls
from ...errors import ConfigError, RemoteError
from ..env_proxy import proxies_for
from ..http import STANDARD, timestamp
from ..transfer import Interrupted
from ..vendor_files import read_by_google
from . import HASTE, Content, ObjectPage, Stat, gcs_errors
from .store import ClientStore, quoted

OPTIONS: Mapping[str, str] = {}
"""Options in the query of every gs:// URL, with their defaults."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class GCSLocation:
    """A bucket, and a prefix or a key in it."""

    bucket: str
    path: str = ""

    @classmethod
    def read(cls, url: SplitResult, allowed: Mapping[str, str] = OPTIONS) -> Self:
        """
        Parse *url*, whose query may have the options *allowed*.

        Raises:
            ConfigError: *url* lacks a bucket, or has another option.
        """
        urls.options(url, allowed)
        if not _BUCKET.fullmatch(url.netloc):
            raise ConfigError(
                f"{urls.redact(url.geturl())} names no bucket"
                " (it is gs://BUCKET/PREFIX)"
            )
        return cls(url.netloc, unquote(url.path).strip("/"))

    def __str__(self) -> str:
        return f"gs://{self.bucket}"

    @property
    def name(self) -> str:
        """A unique name of the bucket, whatever the path."""
        return f"gs {self.bucket}"

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that `open` may read."""
        return read_by_google(os.environ)

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        return f"gs://{self.bucket}/{quoted(key)}"

    def open(self) -> GCSStore:
        """
        Open the bucket; this reads files, and may request credentials.

        Raises:
            ConfigError: GOOGLE_APPLICATION_CREDENTIALS is of no use.
        """
        return GCSStore(self.bucket)


TIMEOUT = (STANDARD.connect, STANDARD.silence)

# Retries are up to the caller, who knows what is idempotent.
ONCE = {"timeout": TIMEOUT, "retry": None}

FIELDS = (
    "items(name,size,generation,updated,timeCreated,md5Hash,crc32c),"
    "prefixes,nextPageToken"
)
PAGE = 1000

REFRESH = 300
"""Seconds for a new token: the default of Google's client."""

ABSENT = frozenset({404})
CONFLICT = frozenset({412})


class GCSStore(ClientStore):
    """
    A bucket of Google Cloud Storage.

    Raises:
        ConfigError: GOOGLE_APPLICATION_CREDENTIALS is of no use.
    """

    def __init__(self, bucket: str) -> None:
        super().__init__(f"gs://{bucket}", read_by_google, gcs_errors.translated)
        self._bucket = bucket
        try:
            self._client()
        except DefaultCredentialsError as exc:
            # Otherwise they are those of a metadata server, which may answer later.
            if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                raise ConfigError(
                    f"{self}: GOOGLE_APPLICATION_CREDENTIALS names no file with"
                    " the key of a service account"
                ) from exc

    def page(self, prefix: str, delimiter: str, more: str) -> ObjectPage:
        with self._asking() as client:
            found = client.list_blobs(
                self._bucket,
                prefix=prefix or None,
                delimiter=delimiter or None,
                page_token=more or None,
                page_size=PAGE,
                fields=FIELDS,
                **ONCE,
            )
            blobs = next(found.pages, ())
            objects = tuple(_stat(blob) for blob in blobs)
        return ObjectPage(
            objects, tuple(sorted(found.prefixes)), found.next_page_token or ""
        )

    def stat(self, key: str) -> Stat | None:
        with self._asking(ABSENT) as client:
            blob = client.bucket(self._bucket).blob(key)
            blob.reload(**ONCE)
            return _stat(blob)
        return None

    def piece(self, stat: Stat, offset: int, length: int) -> bytes:
        with self._asking(ABSENT | CONFLICT) as client:
            into = TimedSink(length)
            with suppress(StopDownload):
                client.bucket(self._bucket).blob(stat.key).download_to_file(
                    into,
                    start=offset,
                    end=offset + length - 1,
                    raw_download=True,
                    if_generation_match=int(stat.version),
                    checksum=None,
                    **ONCE,
                )
            content = into.getvalue()
            if len(content) > length:
                raise RemoteError(f"{self} sent more than the {length} bytes asked for")
            if len(content) != length and not into.slow:
                raise Interrupted(f"{self} sent {len(content)} of {length} bytes")
            return content
        raise RemoteError(f"{stat.key} in {self} was replaced after it was chosen")

    def read(self, key: str, limit: int) -> Content | None:
        with self._asking(ABSENT) as client:
            blob = client.bucket(self._bucket).blob(key)
            into = LimitedSink(limit, f"{key} in {self}")
            blob.download_to_file(into, raw_download=True, **ONCE)
            return Content(into.getvalue(), _version(blob), _now())
        return None

    def put(self, key: str, value: bytes, kind: str) -> str:
        with self._asking() as client:
            blob = client.bucket(self._bucket).blob(key)
            blob.upload_from_string(value, content_type=kind, **ONCE)
        return _version(blob)

    def put_if(self, key: str, value: bytes, version: str) -> str | None:
        with self._asking(CONFLICT) as client:
            blob = client.bucket(self._bucket).blob(key)
            blob.upload_from_string(
                value, if_generation_match=int(version or 0), **ONCE
            )
            return _version(blob)
        return None

    def upload(self, key: str, size: int) -> ResumableUpload:
        with self._asking() as client:
            server = client.api_endpoint
        bucket = quote(self._bucket, safe="")
        begin = f"{server}/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
        return ResumableUpload(self._asking, begin, key, size)

    def delete(self, key: str) -> None:
        with self._asking(ABSENT) as client:
            client.bucket(self._bucket).blob(key).delete(**ONCE)

    def _connect(self) -> Any:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        if emulator and "://" not in emulator:
            # HOST:PORT, as for Google's client for Go; that for Python wants a URL.
            return _Client(client_options={"api_endpoint": f"http://{emulator}"})
        return _Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT") or None)


class _Client(storage.Client):  # type: ignore[misc]  # without types
    """Google's client with a session of dewy."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Else it requests the metadata of each bucket, for traces.
        self._bucket_metadata_cache = None
        self._http_internal = _Session(self._credentials, refresh_timeout=REFRESH)
        self._http_internal.configure_mtls_channel(self._client_cert_source)


class _Session(AuthorizedSession):  # type: ignore[misc]  # without types
    """Google's session with dewy's rules for proxies, redirects and logins."""

    def __init__(self, credentials: Any, **options: Any) -> None:
        super().__init__(credentials, **options)
        # Else requests replaces Google's token by a login from `.netrc`.
        self.auth = _unchanged
        self.hooks["response"].append(_on_response)

    def merge_environment_settings(self, url: str, *given: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().merge_environment_settings(url, *given)
        return found | {"proxies": proxies_for(url)}


def _unchanged(request: Any) -> Any:
    return request


_date: ContextVar[str] = ContextVar("date", default="")
"""`Date` of the last answer in this context."""


def _on_response(response: Any, *args: object, **kwargs: object) -> None:
    # Google's client does not expose the headers of an answer.
    _date.set(response.headers.get("Date", ""))
    if response.is_redirect and response.url.startswith("https:"):
        target = urljoin(response.url, response.headers["Location"])
        if target.startswith("http:"):
            raise gcs_errors.Downgraded
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        # Google's client drops the answer and asks for a new token; once read, the
        # answer releases its connection.
        _ = response.content


def _now() -> float | None:
    return timestamp(_date.get())


class StopDownload(Exception):
    """Signal to end a download early."""


class TimedSink(io.BytesIO):
    """A buffer that stops a download after `HASTE`, or beyond *length* bytes."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length
        self._until = time.monotonic() + HASTE
        self.slow = False

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        if self.tell() > self._length:
            raise StopDownload
        if time.monotonic() > self._until:
            self.slow = True
            raise StopDownload
        return written


class LimitedSink(io.BytesIO):
    """
    A buffer of at most *limit* bytes.

    Raises:
        RemoteError: on a write beyond it.
    """

    def __init__(self, limit: int, what: str) -> None:
        super().__init__()
        self._limit = limit
        self._what = what

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self._limit:
            raise RemoteError(f"{self._what} is larger than {self._limit} bytes")
        return super().write(data)


def _version(blob: Any) -> str:
    # `int` fails on None, which another server in Google's place may cause.
    return str(int(blob.generation))


def _stat(blob: Any) -> Stat:
    sums = {"md5": blob.md5_hash, "crc32c": blob.crc32c}
    return Stat(
        blob.name,
        int(blob.size),
        _version(blob),
        blob.time_created or blob.updated,
        {name: base64.b64decode(text) for name, text in sums.items() if text},
    )


ATTEMPTS = 3
PERSISTED = 308
"""Status of a stored piece of an unfinished upload ("Resume Incomplete")."""

_RANGE = re.compile(r"bytes=0-(\d+)", re.ASCII)


class ResumableUpload:
    """
    A resumable upload (cloud.google.com/storage/docs/resumable-uploads).

    Args:
        asking: Makes a context that yields the client and turns its errors into
            RemoteError.

        begin: The URL at which uploads to the bucket begin.
    """

    def __init__(
        self, asking: Callable[[], Any], begin: str, key: str, size: int
    ) -> None:
        self._asking = asking
        self._size = size
        self._done = 0
        self._piece = 0
        self._broken = False
        self._finished: Mapping[str, Any] | None = None
        headers = {
            "X-Upload-Content-Type": "application/octet-stream",
            "X-Upload-Content-Length": str(size),
        }
        answer = self._ask("POST", begin, (200,), json={"name": key}, headers=headers)
        self._url = answer.headers["Location"]

    def write(self, piece: bytes) -> None:
        """Send *piece*; after an interruption, the part of it that was not stored."""
        failures = 0
        while self._done < self._piece + len(piece):
            try:
                self._send(piece)
            except Interrupted:
                failures += 1
                if failures == ATTEMPTS:
                    raise
        self._piece = self._done

    def finish(self) -> str:
        if self._finished is None:
            self._query_status()
        if self._finished is None:
            raise Interrupted(f"only {self._done} of {self._size} bytes were stored")
        return str(self._finished["generation"])

    def abort(self) -> None:
        # 499 is Google's answer to a successful cancellation.
        self._ask("DELETE", self._url, (204, 404, 499))

    def _send(self, piece: bytes) -> None:
        if self._broken:
            self._query_status()
        if self._done < self._piece:
            raise RemoteError("the part already uploaded has been lost")
        content = piece[self._done - self._piece :]
        last = self._done + len(content) - 1
        self._broken = bool(content)
        if content:
            self._put(content, f"bytes {self._done}-{last}/{self._size}")
            self._broken = False

    def _query_status(self) -> None:
        """Ask how much is stored."""
        self._put(b"", f"bytes */{self._size}")

    def _put(self, content: bytes, content_range: str) -> None:
        answer = self._ask(
            "PUT",
            self._url,
            (200, 201, PERSISTED),
            data=content,
            headers={"Content-Range": content_range},
        )
        if answer.status_code == PERSISTED:
            stored = _RANGE.fullmatch(answer.headers.get("Range", ""))
            self._done = int(stored[1]) + 1 if stored else 0
        else:
            self._finished = json.loads(answer.content)
            self._done = self._size

    def _ask(
        self, method: str, url: str, expected: tuple[int, ...], **options: Any
    ) -> Any:
        with self._asking() as client:
            answer = client._http.request(
                method,
                url,
                timeout=TIMEOUT,
                allow_redirects=False,
                **options,
            )
            if answer.status_code not in expected:
                raise InvalidResponse(answer, "unexpected status")
            return answer
