"""How a notice looks in a mail."""

from __future__ import annotations

import os
from pathlib import Path

from dewy.notifiers import Hook, Notice, NoticeKind, Origin
from dewy.notifiers.format import mail_message

ORIGIN = Origin("web-01", Path("/srv/shop"), "server")


def test_mail_message_is_plain_text_with_origin() -> None:
    notice = Notice(
        NoticeKind.ERROR, "v2 failed", (("log", "last"), ("x", "")), at=1.9e9
    )
    made = mail_message(
        notice, ORIGIN, "dewy@acme.test", ("a@x.test", "b@x.test"), "Subject"
    )
    again = mail_message(notice, ORIGIN, "dewy@acme.test", ("a@x.test",), "Subject")

    assert "a@x.test, b@x.test" == made["To"]
    assert "Sun, 17 Mar 2030 17:46:40 +0000" == made["Date"]
    assert f"<{notice.id}@acme.test>" == made["Message-ID"] == again["Message-ID"]
    assert made.get_content().startswith(
        "v2 failed\n\nLog:\nlast\n\nHost: web-01\nWorking dir: /srv/shop\n\n--\ndewy "
    )


def test_root_that_is_no_text_breaks_no_letter() -> None:
    origin = Origin("web-01", Path(os.fsdecode(b"/srv/caf\xe9")), "server")
    made = mail_message(
        Notice(NoticeKind.ERROR, "x"), origin, "dewy@acme.test", ("a@x.test",), "S"
    )

    assert b"Working dir: /srv/caf?" in bytes(made)


def test_hook_has_a_subject_of_its_own() -> None:
    hook = Hook("Before Deploy", "make", False, 2, 0.5, "out", "")
    notice = Notice(NoticeKind.HOOK, "text", hook=hook)
    made = mail_message(notice, ORIGIN, "dewy@acme.test", ("a@x.test",), "Subject")

    assert "Dewy Before Deploy Hook FAILED" == made["Subject"]
    assert made.get_content().startswith(
        "Before Deploy Hook FAILED\n\nCommand: make\nExit Code: 2\nDuration: 0.5 s\n"
        "\nSTDOUT:\nout\n\nHost: web-01\n"
    )


def test_text_cannot_add_headers() -> None:
    notice = Notice(NoticeKind.ERROR, "a\r\nBcc: everybody@x.test\r\n\r\nb")
    made = mail_message(notice, ORIGIN, "dewy@acme.test", ("a@x.test",), "Subject")

    assert made["Bcc"] is None
