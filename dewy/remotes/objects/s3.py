"""Buckets of S3 through boto3. All calls block."""

from __future__ import annotations

import base64
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ConfigParseError

from ... import __version__, urls
from ...errors import ConfigError, RemoteError
from ..env_proxy import proxies_for
from ..http import STANDARD, timestamp
from ..transfer import Interrupted
from ..vendor_files import read_by_boto3
from . import HASTE, Content, ObjectPage, Stat, s3_errors
from .s3_errors import ABSENT, CONFLICT
from .store import ClientStore, quoted

OPTIONS: Mapping[str, str] = {"endpoint": "", "region": ""}
"""Options in the query of every s3:// URL, with their defaults."""

_REGION = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", re.ASCII)
_BUCKET = re.compile(r"[a-zA-Z0-9][\w.-]{1,253}[a-zA-Z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Location:
    """
    A bucket, and a prefix or a key in it.

    Attributes:
        endpoint: URL of a service other than Amazon's, or "".
    """

    region: str
    bucket: str
    path: str = ""
    endpoint: str = ""

    @classmethod
    def read(cls, url: SplitResult, allowed: Mapping[str, str] = OPTIONS) -> Self:
        """
        Parse *url*, whose query may have the options *allowed*.

        Raises:
            ConfigError: *url* lacks a region or a bucket, or has another option.
        """
        chosen = urls.options(url, allowed)
        region = chosen["region"] or url.netloc
        bucket, _, path = unquote(url.path).strip("/").partition("/")
        for part, text, form in (
            ("region", region, _REGION),
            ("bucket", bucket, _BUCKET),
        ):
            if not form.fullmatch(text):
                raise ConfigError(
                    f"{urls.redact(url.geturl())} names no {part}"
                    " (it is s3://REGION/BUCKET/PREFIX)"
                )
        return cls(region, bucket, path.strip("/"), _endpoint(chosen["endpoint"]))

    def __str__(self) -> str:
        at = f" at {urls.redact(self.endpoint)}" if self.endpoint else ""
        return f"s3://{self.region}/{self.bucket}{at}"

    @property
    def name(self) -> str:
        """A unique name of the bucket, whatever the path."""
        return f"s3 {self.region} {self.bucket} {self.endpoint}"

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that `open` may read."""
        return read_by_boto3(os.environ)

    def url(self, key: str) -> str:
        """Return the URL of the object *key* in the same bucket."""
        query = f"?endpoint={quote(self.endpoint, safe=':/[]')}"
        where = f"s3://{self.region}/{self.bucket}/{quoted(key)}"
        return where + (query if self.endpoint else "")

    def open(self) -> S3Store:
        """
        Open the bucket; this reads files, and may request credentials.

        Raises:
            ConfigError: the region is unknown, or boto3's configuration is invalid.
        """
        return S3Store(self.region, self.bucket, self.endpoint, shown=str(self))


def _endpoint(text: str) -> str:
    if not text:
        return ""
    parts = urls.split(text, "endpoint")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ConfigError(
            f"endpoint {urls.redact(text)!r} is not of the form https://HOST:PORT"
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"endpoint {urls.redact(text)!r} must not hold credentials;"
            " set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return urlsplit(text).geturl()


SUMS = {"ChecksumSHA256": "sha256", "ChecksumCRC32": "crc32"}
"""Digests of whole objects in S3's answers, and their algorithms."""

WHOLE = "FULL_OBJECT"

CHUNK = 16 << 10
"""Bytes read at a time: few, so that slow ones do not outlast `HASTE`."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Variables from which boto3 takes the URL of a service other than Amazon's."""


# At INFO it logs at each start where it found credentials.
logging.getLogger("botocore.credentials").setLevel(logging.WARNING)


class S3Store(ClientStore):
    """
    A bucket of S3.

    Raises:
        ConfigError: the region is unknown, or boto3's configuration is invalid.
    """

    def __init__(self, region: str, bucket: str, endpoint: str, *, shown: str) -> None:
        super().__init__(shown, read_by_boto3, s3_errors.translated)
        self._region = region
        self._bucket = bucket
        self._endpoint = endpoint
        # A malformed file of boto3 is reported by the first request.
        with s3_errors.configured(shown), suppress(ConfigParseError):
            self._client()

    def page(self, prefix: str, delimiter: str, more: str) -> ObjectPage:
        query = {"Prefix": prefix, "Delimiter": delimiter, "ContinuationToken": more}
        given = {name: value for name, value in query.items() if value}
        with self._asking() as client:
            answer = client.list_objects_v2(Bucket=self._bucket, **given)
        more = answer.get("NextContinuationToken", "")
        if answer.get("IsTruncated") and not more:
            raise RemoteError(f"{self} lists only a part, without a token for the rest")
        return ObjectPage(
            tuple(_listed(entry) for entry in answer.get("Contents", ())),
            tuple(entry["Prefix"] for entry in answer.get("CommonPrefixes", ())),
            more,
        )

    def stat(self, key: str) -> Stat | None:
        with self._asking(ABSENT) as client:
            answer = client.head_object(
                Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"
            )
            return Stat(
                key,
                answer["ContentLength"],
                answer["ETag"],
                answer["LastModified"],
                _sums(answer),
            )
        return None

    def piece(self, stat: Stat, offset: int, length: int) -> bytes | bytearray:
        with self._asking(CONFLICT) as client:
            answer = client.get_object(
                Bucket=self._bucket,
                Key=stat.key,
                Range=f"bytes={offset}-{offset + length - 1}",
                IfMatch=stat.version,
            )
            content, ended = _read_for(HASTE, answer, length)
            if len(content) > length:
                raise RemoteError(f"{self} sent more than the {length} bytes asked for")
            if ended and len(content) != length:
                raise Interrupted(f"{self} sent {len(content)} of {length} bytes")
            return content
        raise RemoteError(f"{stat.key} in {self} was replaced after it was chosen")

    def read(self, key: str, limit: int) -> Content | None:
        with self._asking(ABSENT) as client:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            if answer["ContentLength"] > limit:
                answer["Body"].close()
                raise RemoteError(f"{key} in {self} is larger than {limit} bytes")
            return Content(_whole(answer), answer["ETag"], _date(answer))
        return None

    def put(self, key: str, value: bytes, kind: str) -> str:
        with self._asking() as client:
            answer = client.put_object(
                Bucket=self._bucket, Key=key, Body=value, ContentType=kind
            )
        return str(answer["ETag"])

    def put_if(self, key: str, value: bytes, version: str) -> str | None:
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        # If-Match for an object that was deleted is answered by 404.
        with self._asking(CONFLICT | {"NoSuchKey"}) as client:
            answer = client.put_object(
                Bucket=self._bucket, Key=key, Body=value, **condition
            )
            return str(answer["ETag"])
        return None

    def upload(self, key: str, size: int) -> S3Upload:
        with self._asking() as client:
            checked = client.meta.config.request_checksum_calculation
            sums = {"ChecksumAlgorithm": "CRC32"} if checked == "when_supported" else {}
            answer = client.create_multipart_upload(
                Bucket=self._bucket, Key=key, **sums
            )
        name = {"Bucket": self._bucket, "Key": key, "UploadId": answer["UploadId"]}
        return S3Upload(self._asking, name, sums)

    def delete(self, key: str) -> None:
        with self._asking() as client:
            client.delete_object(Bucket=self._bucket, Key=key)

    def _connect(self) -> Any:
        session = _session()
        foreign = bool(self._endpoint) or any(map(os.environ.get, ENDPOINTS))
        if not foreign:
            _require_known(session, self._region, self._shown)
        return session.client(
            "s3",
            region_name=self._region,
            endpoint_url=self._endpoint or None,
            config=_config(foreign, self._proxies()),
        )

    def _proxies(self) -> dict[str, str]:
        stated = next(filter(None, map(os.environ.get, ENDPOINTS)), "")
        usual = f"https://{self._bucket}.s3.{self._region}.amazonaws.com"
        return proxies_for(self._endpoint or stated or usual)


class S3Upload:
    """A multipart upload."""

    def __init__(
        self,
        asking: Callable[[], Any],
        name: Mapping[str, str],
        sums: Mapping[str, str],
    ) -> None:
        self._asking = asking
        self._name = name
        self._sums = sums
        self._parts: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        try:
            self._send(piece)
        except Interrupted:
            # Idempotent: if the part did arrive, it is replaced by itself.
            self._send(piece)

    def _send(self, piece: bytes) -> None:
        number = len(self._parts) + 1
        with self._asking() as client:
            answer = client.upload_part(
                **self._name, **self._sums, PartNumber=number, Body=piece
            )
        kept = {k: answer[k] for k in ("ETag", "ChecksumCRC32") if k in answer}
        self._parts.append({"PartNumber": number, **kept})

    def finish(self) -> str:
        with self._asking() as client:
            answer = client.complete_multipart_upload(
                **self._name, MultipartUpload={"Parts": self._parts}
            )
        return str(answer["ETag"])

    def abort(self) -> None:
        with self._asking() as client:
            client.abort_multipart_upload(**self._name)


def _session() -> Any:
    # Clients with one loader share the description of S3, which takes 12 MB.
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=core)


@cache
def _loader() -> Any:
    return botocore.session.get_session().get_component("data_loader")


def _config(foreign: bool, proxies: dict[str, str]) -> Config:
    # Other vendors may support neither host names by bucket nor Amazon's checksums.
    sums = "when_required" if foreign else "when_supported"
    return Config(
        connect_timeout=STANDARD.connect,
        read_timeout=STANDARD.silence,
        # Retries are up to the caller, who knows what is idempotent.
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=32,
        request_checksum_calculation=sums,
        response_checksum_validation=sums,
        s3={"addressing_style": "path" if foreign else "auto"},
        # Never None, or botocore would apply its own rules for `NO_PROXY`.
        proxies=proxies,
        user_agent_extra=f"dewy/{__version__}",
    )


def _require_known(session: Any, region: str, shown: str) -> None:
    try:
        session.get_partition_for_region(region)
    except Exception as exc:
        # Its module differs between releases of boto3.
        if type(exc).__name__ != "UnknownRegionError":
            raise
        raise ConfigError(
            f"{shown}: {region} is no region of AWS"
            " (it is s3://REGION/BUCKET/PREFIX; others need ?endpoint=https://HOST)"
        ) from None


def _listed(entry: Mapping[str, Any]) -> Stat:
    return Stat(entry["Key"], entry["Size"], entry["ETag"], entry["LastModified"])


def _sums(answer: Mapping[str, Any]) -> dict[str, bytes]:
    # Others may be digests of the digests of parts, which not every store marks.
    if answer.get("ChecksumType") != WHOLE:
        return {}
    found = {name: answer.get(field) for field, name in SUMS.items()}
    return {name: base64.b64decode(text) for name, text in found.items() if text}


def _whole(answer: Mapping[str, Any]) -> bytes:
    # Not `with body`: that yields the raw stream, with exceptions of urllib3.
    with closing(answer["Body"]) as body:
        content: bytes = body.read()
    return content


def _read_for(
    seconds: float, answer: Mapping[str, Any], length: int
) -> tuple[bytearray, bool]:
    """Return the bytes within *seconds*, and whether the answer has ended."""
    # Allocated at once: a buffer that grows is copied, and takes twice the memory.
    content, done, ended = bytearray(length), 0, True
    until = time.monotonic() + seconds
    with closing(answer["Body"]) as body:
        # A store that ignores the range sends the whole object.
        while done <= length and (chunk := body.read(CHUNK)):
            content[done : done + len(chunk)] = chunk
            done += len(chunk)
            if time.monotonic() > until and done < length:
                ended = False
                break
    del content[done:]
    return content, ended


def _date(answer: Mapping[str, Any]) -> float | None:
    return timestamp(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
