"""Notices as JSON to any HTTP server: `https://HOST/PATH`."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, quote, unquote_plus

from yarl import URL

from .. import __version__
from ..errors import ConfigError
from ..logs import readable
from ..remotes import http
from ..system import utc
from . import Hook, Notice, Origin, Undeliverable

SECRET = "DEWY_WEBHOOK_SECRET"
OPTION = "secret"
SIGNATURE = "Dewy-Signature"
EVENT = "Dewy-Event"
ID = "Dewy-Id"

_NEVER = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


class WebhookNotifier:
    """
    A notifier that posts a JSON object for each notice, signed if there is a secret.

    Of the URL, only the option `secret` is dewy's; the rest is sent as written.

    Raises:
        ConfigError: the URL names no host.
    """

    def __init__(self, url: SplitResult, origin: Origin) -> None:
        if not url.hostname:
            raise ConfigError(f"{url.scheme}:// must name a host")
        pairs = url.query.split("&") if url.query else []
        given = [pair for pair in pairs if pair.partition("=")[0].lower() == OPTION]
        rest = "&".join(pair for pair in pairs if pair not in given)
        secret = unquote_plus(given[-1].partition("=")[2]) if given else ""
        self._secret = os.fsencode(secret or os.environ.get(SECRET, ""))
        self._url = _unchanged(url._replace(query=rest))
        self._host = url.hostname
        self._origin = origin

    def __repr__(self) -> str:
        return f"<WebhookNotifier {self._host}>"

    async def send(self, notice: Notice) -> None:
        """
        Post *notice*.

        Raises:
            Undeliverable: the receiver will never accept *notice*.
            RemoteError: *notice* could not be posted now.
        """
        body = json.dumps(event(notice, self._origin), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            EVENT: notice.kind.value,
            ID: notice.id,
        }
        if self._secret:
            headers[SIGNATURE] = signature(self._secret, body)
        with http.translated(self._host):
            async with (
                http.session() as session,
                session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                status, answered = response.status, response.headers
        if status in _NEVER:
            raise Undeliverable(str(http.refusal(self._host, status, {})))
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise http.refusal(self._host, status, answered)


def _unchanged(url: SplitResult) -> URL:
    """Return *url* with path and query as written: they may be signed."""
    safe = "".join(map(chr, range(0x21, 0x7F)))
    host = str(URL(f"{url.scheme}://{url.netloc}")).rstrip("/")
    query = f"?{quote(url.query, safe)}" if url.query else ""
    return URL(f"{host}{quote(url.path, safe) or '/'}{query}", encoded=True)


def signature(secret: bytes, body: bytes) -> str:
    """Return the HMAC of *body* under *secret*, as `sha256=HEX`."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def event(notice: Notice, origin: Origin) -> dict[str, Any]:
    """Return the JSON object for *notice*."""
    return {
        "id": notice.id,
        "kind": notice.kind.value,
        "text": notice.text,
        "at": utc(notice.at).isoformat() if notice.at else None,
        "host": origin.host,
        "root": readable(origin.root),
        "command": origin.command,
        "dewy": __version__,
        "fields": dict(notice.fields),
        "hook": _hook(notice.hook) if notice.hook else None,
    }


def _hook(hook: Hook) -> dict[str, Any]:
    return {
        "name": hook.name,
        "command": hook.command,
        "success": hook.success,
        "exit_code": hook.exit_code,
        "duration": round(hook.duration, 3),
        "stdout": hook.stdout,
        "stderr": hook.stderr,
    }
