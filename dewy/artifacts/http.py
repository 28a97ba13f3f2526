"""Artifacts at a plain URL: `http://…` and `https://…`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult

import aiohttp
from yarl import URL

from .. import urls
from ..errors import ConfigError, Missing, RateLimited, RemoteError
from ..release import Release
from ..remotes import Clients, http
from ..remotes.download import download
from ..remotes.transfer import Interrupted, persist, refusal
from . import Progress

ADVICE: Mapping[int, str] = {
    401: "put credentials into ~/.netrc or the URL",
    403: "these credentials may not read it",
    404: "no such file",
}

PLAIN = {"Accept-Encoding": "identity"}

TEMPORARY = frozenset({408, 429})
"""Temporary refusals; any other 4xx may mean that there is no such file."""


class HTTPArtifacts:
    """
    A file at a URL, and the files beside it.

    Credentials come from the URL or from `.netrc`, and are sent to that host alone.

    Raises:
        ConfigError: the URL names no file.
    """

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        try:
            self._url = URL(url.geturl(), encoded=True).with_fragment(None)
        except ValueError:
            self._url = URL()
        if not self._url.host or not self._url.name:
            raise ConfigError(
                f"{urls.redact(url.geturl())} is not of the form https://HOST/PATH/FILE"
            )
        self._clients = clients

    def __repr__(self) -> str:
        return f"<HTTPArtifacts {self._url.host}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        """
        Stream the file to *into*, resuming where a connection broke.

        Raises:
            RemoteError: the server did not deliver the whole file.
            DeploymentError: the file could not be written.
        """
        await download(
            await self._session(),
            self._url,
            into,
            expected=release.size,
            progress=progress,
            advice=ADVICE,
        )

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        """
        Return the file *name* from the same directory.

        Raises:
            Missing: there is no such file, or access to it is refused.
            RemoteError: the file cannot be read, or is larger than *limit* bytes.
        """
        if "/" in name or name in (".", ".."):
            raise RemoteError(f"{name!r} is not the name of a file beside the artifact")
        # with_name() drops the query, which may hold an access token, and
        # with_query() would encode it anew.
        query = f"?{asked}" if (asked := self._url.raw_query_string) else ""
        url = URL(f"{self._url.with_name(name)}{query}", encoded=True)
        return await persist(partial(self._read, url, name, limit))

    async def _read(self, url: URL, name: str, limit: int) -> bytes:
        host = self._url.host or ""
        session = await self._session()
        with http.translated(host, Interrupted):
            async with (
                asyncio.timeout(http.STANDARD.answer),
                # The content counts, whatever encoding the server adds.
                session.get(url, headers=PLAIN, auto_decompress=True) as response,
            ):
                if response.status != HTTPStatus.OK:
                    raise _refusal(host, response, name)
                return await http.read(response, limit, name)

    async def _session(self) -> aiohttp.ClientSession:
        return await self._clients.get("http", lambda: http.session(decompress=False))


def _refusal(host: str, response: aiohttp.ClientResponse, name: str) -> RemoteError:
    advice = {**ADVICE, 404: f"no file {name}"}
    refused = refusal(host, response.status, response.headers, advice)
    final = response.status < 500 and response.status not in TEMPORARY
    if final and not isinstance(refused, RateLimited):
        return Missing(str(refused))
    return refused
