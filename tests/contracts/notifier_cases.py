"""The cases of notifiers: Slack's API, a mail server and a webhook, each a real one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.notifiers import NOTIFIERS, Notice, NoticeKind, Notifier, Origin
from tests.contracts.cases import NotifierCase
from tests.needs import require
from tests.standins.certificates import Authority
from tests.standins.receiving import SLACK_TOKEN, Receiver


def told(texts: list[str]) -> list[Notice]:
    return [Notice(NoticeKind.ORDINARY, text) for text in texts]


async def opened(url: str, root: Path) -> Notifier:
    return await asyncio.to_thread(
        NOTIFIERS.open, url, Origin("web-01", root, "server")
    )


def breaking(receiver: Receiver) -> Callable[[str], object]:
    async def break_down(fault: str) -> None:
        if fault == "down":
            return await receiver.stop()
        receiver.fault = {"hang": "hang", "busy": 429, "error": 500}[fault]

    return break_down


async def mended(receiver: Receiver) -> None:
    receiver.fault = ""
    await receiver.stop()
    await receiver.start()


@asynccontextmanager
async def slack_notifier(tmp_path: Path) -> AsyncIterator[NotifierCase]:
    require("slack")
    async with Receiver() as receiver:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLACK_TOKEN", SLACK_TOKEN)
            patch.setenv("SLACK_API_URL", f"{receiver.url}/api/")
            notifier = await opened("slack://deployments?title=shop", tmp_path)

        def delivered() -> list[Notice]:
            shown = [message["attachments"][0] for message in receiver.messages]
            return told([attachment["text"] for attachment in shown])

        yield NotifierCase(
            notifier,
            delivered,
            break_down=breaking(receiver),
            mend=lambda: mended(receiver),
            secret=SLACK_TOKEN,
        )


@asynccontextmanager
async def webhook_notifier(tmp_path: Path) -> AsyncIterator[NotifierCase]:
    async with Receiver() as receiver:
        url = f"{receiver.url}/hook?token=t0psecret&secret=s1gning"
        yield NotifierCase(
            await opened(url, tmp_path),
            lambda: told([message["text"] for message in receiver.messages]),
            break_down=breaking(receiver),
            mend=lambda: mended(receiver),
            secret="t0psecret",
        )


@asynccontextmanager
async def mail_notifier(tmp_path: Path) -> AsyncIterator[NotifierCase]:
    require("mail")
    from tests.standins.mail_server import PASSWORD, USER, MailServer

    authority = Authority(tmp_path / "authority")
    async with MailServer(authority.certify("127.0.0.1")) as server:
        query = f"?username={USER}&from=dewy@acme.test&ca={authority.cert}"
        query += f"&password={PASSWORD}"
        url = f"mail://{server.address}/ops@acme.test{query}"

        def delivered() -> list[Notice]:
            bodies = [letter.get_content() for letter in server.letters]
            return told([re.split(r"\r?\n\r?\n", body)[0] for body in bodies])

        async def break_down(fault: str) -> None:
            if fault == "down":
                return await server.stop()
            faults = {"hang": "hang", "busy": "451 later", "error": "550 never"}
            server.fault = faults[fault]

        async def mend() -> None:
            server.fault = ""
            await server.stop()
            await server.start()

        yield NotifierCase(
            await opened(url, tmp_path),
            delivered,
            break_down=break_down,
            mend=mend,
            secret=PASSWORD,
        )
