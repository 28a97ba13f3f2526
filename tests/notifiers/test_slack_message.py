"""How a notice looks in Slack."""

from __future__ import annotations

import hashlib

import pytest

from dewy.notifiers import Hook, Notice, NoticeKind
from dewy.notifiers import format as module
from dewy.notifiers.format import attachment, colour, footer, tail


def test_markup_of_slack_is_taken_for_text() -> None:
    shown = attachment(Notice(NoticeKind.ERROR, "<!channel> & co"), "web-01", "web-01")

    assert "&lt;!channel&gt; &amp; co" == shown["text"]
    assert "ts" not in shown


@pytest.mark.parametrize("host", ["web-01", "db-7"])
def test_error_is_red_whatever_the_colour_of_the_host(host: str) -> None:
    def shown(kind: NoticeKind) -> object:
        return attachment(Notice(kind, "v2"), host, host)["color"]

    assert "#dd0000" == shown(NoticeKind.ERROR)
    assert {colour(host)} == {shown(NoticeKind.IMPORTANT), shown(NoticeKind.RECOVERY)}


def test_end_of_output_of_a_hook_is_shown() -> None:
    """Also where it was shortened before."""
    output = tail("\n".join(map(str, range(100))))
    hook = Hook("After Deploy", "make", False, 1, 1.0, "", output)
    shown = attachment(Notice(NoticeKind.HOOK, "text", hook=hook), "h", "h")

    assert shown["fields"][0]["value"].endswith("\n99```")


def test_log_is_a_block_of_its_own() -> None:
    fields = (("log", "one\n```two"), ("empty", ""))
    shown = attachment(Notice(NoticeKind.ERROR, "failed", fields), "web-01", "web-01")

    (field,) = shown["fields"]
    assert "Log" == field["title"]
    assert 2 == field["value"].count("```")


@pytest.mark.parametrize(("success", "colour"), [(True, "#36a64f"), (False, "#dd0000")])
def test_hook_is_shown_with_its_output(success: bool, colour: str) -> None:
    hook = Hook("After Deploy", "make x", success, 3, 61.0, "", "oh")
    shown = attachment(Notice(NoticeKind.HOOK, "text", hook=hook), "h", "h")

    assert (colour, "After Deploy Hook") == (shown["color"], shown["title"])
    assert "```make x```" == shown["text"]
    assert ["Stderr", "Exit Code", "Duration"] == [f["title"] for f in shown["fields"]]
    assert ["```oh```", "`3`", "1 min 1 s"] == [f["value"] for f in shown["fields"]]


@pytest.mark.parametrize(
    ("title", "url", "shown"),
    [
        ("", "", "web-01"),
        ("shop", "", "shop/web-01"),
        ("shop", "https://shop.test", "<https://shop.test|shop>/web-01"),
        ("", "https://shop.test", "<https://shop.test|https://shop.test>/web-01"),
    ],
)
def test_footer_shows_linked_title_and_host(title: str, url: str, shown: str) -> None:
    assert shown == footer("web-01", title, url)


def test_host_has_the_colour_of_its_digest() -> None:
    assert f"#{hashlib.md5(b'web-01').hexdigest()[:6].upper()}" == colour("web-01")


def test_colour_that_looks_like_a_failure_is_turned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Digest:
        def digest(self) -> bytes:
            return bytes.fromhex("ff0000")

    monkeypatch.setattr(module.hashlib, "md5", lambda *args, **kwargs: Digest())

    assert "#FF9500" == colour("any")
