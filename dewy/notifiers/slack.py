"""Notices to Slack by its method `chat.postMessage`: `slack://CHANNEL`."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from .. import __version__, urls
from ..errors import ConfigError, RemoteError
from ..ioprocess import reading
from ..remotes import http
from . import Notice, NoticeKind, Origin, Undeliverable
from .format import attachment, footer

TOKEN = "SLACK_TOKEN"
API = "SLACK_API_URL"
THREAD = ".slack-thread-ts"
THREAD_LIMIT = 4096
OPTIONS = {"title": "", "url": "", "thread": "false", "broadcast": "true"}

_CODE = re.compile(r"[a-z_]{1,60}", re.ASCII)
_NEVER = {"msg_too_long", "msg_blocks_too_long", "no_text", "invalid_attachments"}
_ADVICE = {
    "invalid_auth": f"check {TOKEN}",
    "not_authed": f"check {TOKEN}",
    "account_inactive": f"check {TOKEN}",
    "token_revoked": f"check {TOKEN}",
    "token_expired": f"check {TOKEN}",
    "missing_scope": f"{TOKEN} needs the scope chat:write",
    "channel_not_found": "check that the channel exists, and the app is in it",
    "not_in_channel": "invite the app into the channel",
    "is_archived": "the channel is archived",
}


class SlackNotifier:
    """
    A notifier to Slack, with a message for each notice.

    With `thread=true`, `.slack-thread-ts` in the current release names the thread; a
    release without that file leaves it as it was.

    Raises:
        ConfigError: the URL is invalid, or `SLACK_TOKEN` is missing.
    """

    def __init__(self, url: SplitResult, origin: Origin) -> None:
        chosen = urls.options(url, OPTIONS)
        self.channel = unquote(url.netloc + url.path).strip("/")
        if not self.channel or url.username:
            raise ConfigError("slack:// must name a channel: slack://CHANNEL")
        token = os.environ.get(TOKEN, "")
        if not token:
            raise ConfigError(f"slack:// needs the token of an app in {TOKEN}")
        self._token = token
        self._api = os.environ.get(API) or AsyncWebClient.BASE_URL
        self._server = urlsplit(self._api).hostname or "Slack"
        self._host = origin.host
        self._footer = footer(origin.host, chosen["title"], chosen["url"])
        self._file = origin.root / "current" / THREAD
        self._threads = urls.boolean("thread", chosen["thread"])
        self._broadcast = urls.boolean("broadcast", chosen["broadcast"])
        self._thread = ""

    def __repr__(self) -> str:
        return f"<SlackNotifier {self.channel}>"

    async def send(self, notice: Notice) -> None:
        """
        Post *notice*.

        Raises:
            Undeliverable: Slack will never accept *notice*.
            RemoteError: *notice* could not be posted now.
        """
        if self._threads:
            self._thread = await asyncio.to_thread(_read, self._file) or self._thread
        message = self._message(notice)
        with http.translated(self._server):
            async with http.session() as session:
                await self._post(session, message)

    def _message(self, notice: Notice) -> dict[str, Any]:
        message: dict[str, Any] = {
            "channel": self.channel,
            "username": "Dewy",
            "icon_emoji": ":droplet:",
            "attachments": [attachment(notice, self._host, self._footer)],
        }
        if self._thread:
            message["thread_ts"] = self._thread
            if notice.kind is NoticeKind.ERROR and self._broadcast:
                message["reply_broadcast"] = True
        return message

    async def _post(
        self, session: aiohttp.ClientSession, message: dict[str, Any]
    ) -> None:
        client = AsyncWebClient(
            self._token,
            base_url=self._api,
            session=session,
            user_agent_prefix=f"dewy/{__version__}",
            # `NoticeQueue` retries.
            retry_handlers=[],
        )
        # The client would use a proxy of the environment regardless of `NO_PROXY`.
        client.proxy = None
        try:
            await client.chat_postMessage(**message)
        except SlackApiError as exc:
            raise _refusal(self._server, exc) from None
        except SlackClientError:
            text = f"{self._server} did not answer like Slack"
            raise RemoteError(text) from None


def _refusal(server: str, exc: SlackApiError) -> RemoteError:
    response = exc.response
    if response.status_code != 200:
        return http.refusal(server, response.status_code, response.headers)
    code = str(response.get("error", ""))
    if not _CODE.fullmatch(code):
        return RemoteError(f"{server} refused without a reason")
    kind = Undeliverable if code in _NEVER else RemoteError
    advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
    return kind(f"{server} answered {code}{advice}")


def _read(file: Path) -> str:
    try:
        return reading.content(file, THREAD_LIMIT).decode("ascii")[:64].strip()
    except (OSError, ValueError, RemoteError):
        return ""
