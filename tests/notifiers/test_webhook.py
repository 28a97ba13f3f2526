"""What a receiver of webhooks gets, and how it knows from whom."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import ConfigError, RateLimited, RemoteError
from dewy.notifiers import (
    NOTIFIERS,
    Hook,
    Notice,
    NoticeKind,
    Notifier,
    Origin,
    Undeliverable,
)
from tests.standins.receiving import Receiver

ORIGIN = Origin("web-01", Path("/srv/shop"), "server")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def webhook(receiver: Receiver, query: str = "") -> Notifier:
    return NOTIFIERS.open(f"{receiver.url}/hook{query}", ORIGIN)


async def test_event_is_json(receiver: Receiver) -> None:
    hook = Hook("Before Deploy", "make", False, 2, 0.1234, "out", "err")
    notice = Notice(
        NoticeKind.HOOK, "it failed", (("log", "last"),), hook, 1_900_000_000.0
    )
    await webhook(receiver).send(notice)
    (message,) = receiver.messages
    del message["dewy"]

    assert {
        "id": notice.id,
        "kind": "hook",
        "text": "it failed",
        "at": "2030-03-17T17:46:40+00:00",
        "host": "web-01",
        "root": "/srv/shop",
        "command": "server",
        "fields": {"log": "last"},
        "hook": {
            "name": "Before Deploy",
            "command": "make",
            "success": False,
            "exit_code": 2,
            "duration": 0.123,
            "stdout": "out",
            "stderr": "err",
        },
    } == message
    assert "hook" == receiver.received[0].headers["Dewy-Event"]
    assert notice.id == receiver.received[0].headers["Dewy-Id"]


@pytest.mark.parametrize("place", ["url", "environment", "both"])
async def test_request_with_secret_carries_hmac_signature(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The URL comes first; what else is in it is the receiver's own."""
    if place != "url":
        other = "another" if place == "both" else "s1gn/ing"
        monkeypatch.setenv("DEWY_WEBHOOK_SECRET", other)
    query = "?a=%2B&b" if place == "environment" else "?a=%2B&secret=s1gn%2Fing&b"
    await webhook(receiver, query).send(Notice(NoticeKind.ERROR, "text"))
    (received,) = receiver.received

    expected = hmac.new(b"s1gn/ing", received.body, hashlib.sha256).hexdigest()
    assert f"sha256={expected}" == received.headers["Dewy-Signature"]
    assert "/hook?a=%2B&b" == received.path


@pytest.mark.parametrize(
    "query",
    ["?sig=a%2Fb%3D&t=%41", "?next=https://h/x?y&z=%7E", "?a+b=%20c&&d", "?%C3%A4"],
)
async def test_query_string_is_sent_unchanged(receiver: Receiver, query: str) -> None:
    """A receiver may sign it."""
    await webhook(receiver, query).send(Notice(NoticeKind.ERROR, "text"))

    assert f"/hook{query}" == receiver.received[0].path


async def test_invalid_url_characters_are_percent_encoded(receiver: Receiver) -> None:
    await webhook(receiver, "/ä?q=ö x").send(Notice(NoticeKind.ERROR, "text"))

    assert "/hook/%C3%A4?q=%C3%B6%20x" == receiver.received[0].path


async def test_root_that_is_no_text_breaks_no_event(receiver: Receiver) -> None:
    origin = Origin("web-01", Path(os.fsdecode(b"/srv/caf\xe9")), "server")
    await NOTIFIERS.open(receiver.url, origin).send(Notice(NoticeKind.ERROR, "text"))

    assert ["/srv/caf?"] == [each["root"] for each in receiver.messages]


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    await webhook(receiver).send(Notice(NoticeKind.ERROR, "text"))

    assert "Dewy-Signature" not in receiver.received[0].headers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, RemoteError),
        (401, RemoteError),
        (404, RemoteError),
        (413, Undeliverable),
        (422, Undeliverable),
        (429, RateLimited),
        (503, RemoteError),
    ],
)
async def test_answer_decides_about_another_try(
    receiver: Receiver, status: int, kind: type[RemoteError]
) -> None:
    receiver.fault, receiver.retry_after = status, "7"
    with pytest.raises(kind) as caught:
        await webhook(receiver).send(Notice(NoticeKind.ERROR, "text"))

    assert kind is type(caught.value)
    assert (None if kind is Undeliverable else 7.0) == caught.value.retry_after
    assert str(status) in str(caught.value)


def test_url_without_a_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="host"):
        NOTIFIERS.open("https:///hook", ORIGIN)
