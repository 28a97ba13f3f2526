"""What Slack is asked, and what its answers are taken for."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dewy.errors import (
    ConfigError,
    ImplementationUnavailable,
    RateLimited,
    RemoteError,
)
from dewy.notifiers import (
    NOTIFIERS,
    Notice,
    NoticeKind,
    Notifier,
    Origin,
    Undeliverable,
)
from tests.needs import needs
from tests.standins.receiving import SLACK_TOKEN, Receiver

pytestmark = needs("slack")

Open = Callable[[str], Notifier]


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        monkeypatch.setenv("SLACK_TOKEN", SLACK_TOKEN)
        monkeypatch.setenv("SLACK_API_URL", f"{receiver.url}/api/")
        yield receiver


@pytest.fixture
def open_slack(slack: Receiver, tmp_path: Path) -> Open:
    return lambda url: NOTIFIERS.open(url, Origin("web-01", tmp_path, "server"))


async def sent(slack: Receiver, notifier: Notifier, kind: NoticeKind) -> dict[str, Any]:
    await notifier.send(Notice(kind, "text", at=1_900_000_000.5))
    return slack.messages[-1]


async def test_message_goes_to_the_channel(slack: Receiver, open_slack: Open) -> None:
    url = "slack://deployments?title=shop&url=https://shop.test"
    message = await sent(slack, open_slack(url), NoticeKind.ORDINARY)
    (attachment,) = message["attachments"]

    assert ("deployments", "Dewy") == (message["channel"], message["username"])
    assert "<https://shop.test|shop>/web-01" == attachment["footer"]
    assert 1_900_000_000 == attachment["ts"]
    assert "thread_ts" not in message


async def test_proxy_is_chosen_as_for_all_clients(
    slack: Receiver,
    open_slack: Open,
    monkeypatch: pytest.MonkeyPatch,
    unused_tcp_port: int,
) -> None:
    """None for this host; and one that is away is blamed itself."""
    place = f"127.0.0.1:{unused_tcp_port}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{place}")
    await sent(slack, open_slack("slack://deployments"), NoticeKind.ERROR)
    monkeypatch.setenv("SLACK_API_URL", "https://slack.invalid/api/")
    with pytest.raises(RemoteError, match=f"proxy {place} could not be reached"):
        await sent(slack, open_slack("slack://deployments"), NoticeKind.ERROR)


async def test_release_names_the_thread(
    slack: Receiver, open_slack: Open, tmp_path: Path
) -> None:
    """Until another does; errors are shown to the whole channel."""
    notifier = open_slack("slack://deployments?thread=true")
    assert "thread_ts" not in await sent(slack, notifier, NoticeKind.ERROR)

    file = tmp_path / "current" / ".slack-thread-ts"
    file.parent.mkdir()
    file.write_text("1700000000.000100\n")
    ordinary = await sent(slack, notifier, NoticeKind.ORDINARY)
    file.unlink()
    error = await sent(slack, notifier, NoticeKind.ERROR)

    assert "1700000000.000100" == ordinary["thread_ts"] == error["thread_ts"]
    assert "reply_broadcast" not in ordinary
    assert error["reply_broadcast"] is True


@pytest.mark.parametrize("kind", ["large", "pipe"])
async def test_thread_file_that_is_large_or_no_file_is_ignored(
    slack: Receiver, open_slack: Open, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "current" / ".slack-thread-ts"
    file.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_bytes(b"1" * (1 << 20))
    notifier = open_slack("slack://deployments?thread=true")

    assert "thread_ts" not in await sent(slack, notifier, NoticeKind.ERROR)


async def test_errors_may_stay_in_the_thread(
    slack: Receiver, open_slack: Open, tmp_path: Path
) -> None:
    (tmp_path / "current").mkdir()
    (tmp_path / "current" / ".slack-thread-ts").write_text("1.2")
    notifier = open_slack("slack://deployments?thread=1&broadcast=false")

    assert "reply_broadcast" not in await sent(slack, notifier, NoticeKind.ERROR)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ("msg_too_long", Undeliverable, r"^127\.0\.0\.1 answered msg_too_long$"),
        ("invalid_auth", RemoteError, "invalid_auth: check SLACK_TOKEN"),
        ("not_in_channel", RemoteError, "invite the app"),
        ("something_else", RemoteError, "something_else$"),
        ("hunter2 <b>", RemoteError, "refused without a reason"),
    ],
)
async def test_refused_message_error_suggests_remedy(
    slack: Receiver, open_slack: Open, error: str, kind: type[Exception], said: str
) -> None:
    slack.slack_error = error
    with pytest.raises(kind, match=said) as caught:
        await open_slack("slack://c").send(Notice(NoticeKind.ERROR, "text"))

    assert kind is type(caught.value)
    assert 1 == slack.tries


async def test_rate_limit_says_how_long_to_stay_away(
    slack: Receiver, open_slack: Open
) -> None:
    slack.fault, slack.retry_after = 429, "30"
    with pytest.raises(RateLimited) as caught:
        await open_slack("slack://c").send(Notice(NoticeKind.ERROR, "text"))

    assert 30.0 == caught.value.retry_after


@pytest.mark.parametrize("url", ["slack://?title=x", "slack://a@b", "slack://c?x=1"])
async def test_url_that_will_not_do_is_refused(open_slack: Open, url: str) -> None:
    with pytest.raises(ConfigError):
        open_slack(url)


def test_without_a_token_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SLACK_TOKEN"):
        NOTIFIERS.open("slack://c", Origin("h", tmp_path))


def test_without_the_extra_its_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("slack_sdk", "dewy.notifiers.slack")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "slack_sdk", None)

    with pytest.raises(ImplementationUnavailable, match="pip install 'slack-sdk>="):
        NOTIFIERS.open("slack://c", Origin("h", tmp_path))
