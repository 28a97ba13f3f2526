"""Buckets of the stand-in for Google Cloud Storage, as a publisher sees them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from urllib.parse import quote

import requests

from tests.standins.serving import served


class GCSBucket:
    """A new bucket, as a publisher sees it."""

    def __init__(self) -> None:
        self.name = f"bucket-{uuid.uuid4().hex}"
        self.environment = {"STORAGE_EMULATOR_HOST": served("tests.standins.gcs")}
        self._session = requests.Session()
        self._ask("POST", "/storage/v1/b", json={"name": self.name})

    def url(self, path: str = "", query: str = "", endpoint: str = "") -> str:
        """dewy's URL of *path* in it, with further options *query* (`?…`)."""
        return f"gs://{self.name}/{path}{query}"

    def put(self, key: str, content: bytes) -> None:
        told = json.dumps({"name": key}).encode()
        parts = [b"--b\r\n\r\n" + told, b"--b\r\n\r\n" + content, b"--b--"]
        self._ask(
            "POST",
            f"/upload/storage/v1/b/{self.name}/o?uploadType=multipart",
            data=b"\r\n".join(parts),
            headers={"Content-Type": "multipart/related; boundary=b"},
        )

    def get(self, key: str) -> bytes:
        return self._ask("GET", f"/download{self._path(key)}").content

    def keys(self, prefix: str = "") -> list[str]:
        found, query = [], {"prefix": prefix}
        while True:
            path = f"/storage/v1/b/{self.name}/o"
            page = self._ask("GET", path, params=query).json()
            found += [told["name"] for told in page["items"]]
            if "nextPageToken" not in page:
                return found
            query["pageToken"] = page["nextPageToken"]

    def delete(self, key: str) -> None:
        self._ask("DELETE", self._path(key))

    def drop(self) -> None:
        """Remove it and what is in it."""
        self._ask("DELETE", f"/storage/v1/b/{self.name}")

    def unfinished(self) -> int:
        """Uploads that were neither finished nor aborted."""
        return int(self._ask("GET", f"/unfinished/{self.name}").json())

    def _path(self, key: str) -> str:
        return f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}"

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        url = served("tests.standins.gcs") + path
        # A gibibyte at once, on a busy machine.
        answer = self._session.request(method, url, timeout=600, **options)
        while answer.status_code == 429:
            time.sleep(0.1)
            answer = self._session.request(method, url, timeout=600, **options)
        answer.raise_for_status()
        return answer
