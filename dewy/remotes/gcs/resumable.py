"""
Google's resumable uploads, in which the whole size is stated with every piece.

Google's own writer does not state it, and finishes what is merely dropped: half an
artifact would appear as a whole one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from google.cloud.storage.exceptions import InvalidResponse

from ...errors import RemoteError
from ..http import STANDARD
from ..transfer import Interrupted

ATTEMPTS = 3
PERSISTED = 308
"""The status of a piece that was kept while more are to come."""

_RANGE = re.compile(r"bytes=0-(\d+)", re.ASCII)


class ResumableUpload:
    """
    The upload of one object.

    Args:
        asking: Gives the client, and turns what it raises into RemoteError.

        begin: The URL where uploads to the bucket begin.
    """

    def __init__(
        self, asking: Callable[[], Any], begin: str, key: str, size: int
    ) -> None:
        self._asking = asking
        self._size = size
        self._done = 0
        self._piece = 0
        self._broken = False
        self._told: Mapping[str, Any] | None = None
        headers = {
            "X-Upload-Content-Type": "application/octet-stream",
            "X-Upload-Content-Length": str(size),
        }
        answer = self._ask("POST", begin, (200,), json={"name": key}, headers=headers)
        self._url = answer.headers["Location"]

    def write(self, piece: bytes) -> None:
        """Send *piece*; after a failure, what of it was not kept yet."""
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
        if self._told is None:
            self._recall()
        if self._told is None:
            raise Interrupted(f"only {self._done} of {self._size} bytes were kept")
        return str(self._told["generation"])

    def abort(self) -> None:
        # 499 is how Google says that it has forgotten it.
        self._ask("DELETE", self._url, (204, 404, 499))

    def _send(self, piece: bytes) -> None:
        if self._broken:
            self._recall()
        if self._done < self._piece:
            raise RemoteError("what was uploaded already has not been kept")
        content = piece[self._done - self._piece :]
        last = self._done + len(content) - 1
        self._broken = bool(content)
        if content:
            self._put(content, f"bytes {self._done}-{last}/{self._size}")
            self._broken = False

    def _recall(self) -> None:
        """Ask how much was kept."""
        self._put(b"", f"bytes */{self._size}")

    def _put(self, content: bytes, which: str) -> None:
        answer = self._ask(
            "PUT",
            self._url,
            (200, 201, PERSISTED),
            data=content,
            headers={"Content-Range": which},
        )
        if answer.status_code == PERSISTED:
            kept = _RANGE.fullmatch(answer.headers.get("Range", ""))
            self._done = int(kept[1]) + 1 if kept else 0
        else:
            self._told = json.loads(answer.content)
            self._done = self._size

    def _ask(
        self, method: str, url: str, expected: tuple[int, ...], **said: Any
    ) -> Any:
        with self._asking() as client:
            answer = client._http.request(
                method,
                url,
                timeout=(STANDARD.connect, STANDARD.silence),
                allow_redirects=False,
                **said,
            )
            if answer.status_code not in expected:
                raise InvalidResponse(answer, "not what was asked for")
            return answer
