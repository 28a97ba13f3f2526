"""Log lines: what people and programs read of dewy."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dewy import logs
from dewy.errors import RemoteError
from dewy.logs import readable, words_of

Configure = Callable[..., io.StringIO]

log = logging.getLogger("dewy.tests")


@pytest.fixture
def configure() -> Configure:
    """Configures logs into a buffer."""

    def configure(
        level: str = "info", format: str = "text", **environ: str
    ) -> io.StringIO:
        stream = io.StringIO()
        logs.configure(level, format, stream, environ)
        return stream

    return configure


def test_text_line_holds_time_level_message_and_extras(configure: Configure) -> None:
    """`time=… level=… msg="…" key=value`, in that order."""
    stream = configure()
    log.info("Cached artifact", extra={"key": "v1--app.tar", "bytes": 12})

    time, _, rest = stream.getvalue().partition(" ")
    assert 'level=INFO msg="Cached artifact" key=v1--app.tar bytes=12\n' == rest
    assert time.startswith("time=")
    assert time.endswith("Z")
    assert datetime.fromisoformat(time.removeprefix("time=")).tzinfo is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "x=plain"),
        ("", 'x=""'),
        ("two words", 'x="two words"'),
        ("a=b", 'x="a=b"'),
        ('say "hi"', r'x="say \"hi\""'),
        ("two\nlines", r'x="two\nlines"'),
        ("esc\x1b[31m", r'x="esc\u001b[31m"'),
        ("del\x7f", r'x="del\u007f"'),
        ("größe", "x=größe"),
        (1.5, "x=1.5"),
        (None, "x=None"),
        (Path("/a/b"), "x=/a/b"),
        (("a", "b"), "x=a,b"),
        (RemoteError("it is down"), 'x="it is down"'),
    ],
)
def test_text_values_are_quoted_where_needed(value: object, expected: str) -> None:
    """A value never breaks the line nor runs into the next key."""
    assert expected == logs.text_line({"x": value})


def test_json_log_line_is_single_object(configure: Configure) -> None:
    """Numbers stay numbers; paths and errors become text."""
    stream = configure(format="json")
    log.warning("Went\nwrong", extra={"n": 3, "path": Path("/a"), "why": ["x", "y"]})

    lines = stream.getvalue().splitlines()
    assert 1 == len(lines)
    found = json.loads(lines[0])
    assert "WARN" == found["level"]
    assert "Went\nwrong" == found["msg"]
    assert [3, "/a", ["x", "y"]] == [found["n"], found["path"], found["why"]]
    assert ["time", "level", "msg"] == list(found)[:3]


def test_extra_cannot_override_standard_fields(configure: Configure) -> None:
    """`level` is the record's, whoever passes another."""
    stream = configure(format="json")
    log.info("Said", extra={"level": "mine"})

    assert "INFO" == json.loads(stream.getvalue())["level"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["d", "i", "w", "e"]),
        ("info", ["i", "w", "e"]),
        ("warn", ["w", "e"]),
        ("error", ["e"]),
    ],
)
def test_level_is_a_threshold(
    configure: Configure, level: str, expected: list[str]
) -> None:
    """What is below the level is not written."""
    stream = configure(level, "json")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")

    found = [json.loads(line)["msg"] for line in stream.getvalue().splitlines()]
    assert expected == found


@pytest.mark.parametrize("format", ["text", "json"])
def test_exception_is_logged_on_single_line_without_traceback(
    configure: Configure, format: str
) -> None:
    """What happened, not where in dewy's source."""
    stream = configure(format=format)
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        log.exception("Poll failed")

    text = stream.getvalue()
    assert 1 == text.count("\n")
    assert "ValueError: bad thing" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("format", ["text", "json"])
def test_debug_level_has_the_traceback(configure: Configure, format: str) -> None:
    """Whoever looks for a bug asks for debug, and gets it on the same line."""
    stream = configure("debug", format)
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("Poll failed")

    assert 1 == stream.getvalue().count("\n")
    assert "Traceback (most recent call last)" in stream.getvalue()


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (RemoteError("it is\n down"), "it is down"),
        (FileNotFoundError(2, "No such file", "a b"), "a b: No such file"),
        (OSError(28, "No space left"), "No space left"),
        (KeyError("name"), "KeyError: 'name'"),
        (TimeoutError(), "no answer in time"),
    ],
)
def test_summary_of_an_exception_says_something(exc: Exception, expected: str) -> None:
    """Never an empty text, never more than a line."""
    assert expected == logs.summary(exc)


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(
    "leak",
    [
        "the token is s3cr/t=1 indeed",
        'body {"token": "s3cr/t=1"}',
        "https://example.com/?t=s3cr%2Ft%3D1",
    ],
)
def test_secrets_of_the_environment_are_struck_out(
    configure: Configure, format: str, leak: str
) -> None:
    """Secrets stay out of the log even where somebody else's message holds one."""
    stream = configure(format=format, GITHUB_TOKEN="s3cr/t=1")
    log.error("Failed", extra={"answer": leak})
    log.error(leak)

    assert 2 == stream.getvalue().count("***")
    assert "s3cr" not in stream.getvalue()


def test_every_line_of_a_key_is_struck_out(configure: Configure) -> None:
    """A private key has several lines, and any of them may be quoted alone."""
    key = "-----BEGIN KEY-----\nMIIEabc+def/ghi\nJKLmno\n-----END KEY-----\n"
    stream = configure("debug", GITHUB_APP_PRIVATE_KEY=key)
    log.error("%s", key)
    log.error("near MIIEabc+def/ghi")

    assert "MIIE" not in stream.getvalue()
    assert "JKLmno" not in stream.getvalue()


def test_traceback_is_redacted_too(configure: Configure) -> None:
    """Debug level is no licence."""
    stream = configure("debug", SLACK_TOKEN="xoxb-12345")
    try:
        raise ValueError("sent xoxb-12345")
    except ValueError:
        log.exception("Failed")

    assert "xoxb" not in stream.getvalue()


def test_short_values_are_left_alone() -> None:
    """Striking out every `a` would leave nothing to read."""
    assert "a b" == logs.redactor({"GH_TOKEN": "a", "MAIL_PASSWORD": ""})("a b")


def test_longer_secret_goes_first() -> None:
    """One secret inside another leaves no rest behind."""
    redact = logs.redactor({"GH_TOKEN": "abcdef", "GITHUB_TOKEN": "abcdefghi"})

    assert "***" == redact("abcdefghi")


def test_lines_go_to_stderr_by_default(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stdout is for what a command was asked."""
    configure()
    logs.configure("info", "text")
    log.info("Here")

    out, err = capsys.readouterr()
    assert "" == out
    assert "msg=Here" in err


def test_summary_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """For it goes into files, and to who asks."""
    monkeypatch.setenv("MAIL_PASSWORD", "correct horse")
    failure = RemoteError("correct horse at https://me:pw@h/?token=t failed")

    assert "*** at https://***@h/?token=*** failed" == logs.summary(failure)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (3.2004, "3.2s"),
        (62.5, "1m2.5s"),
        (3600, "1h0m0s"),
        (90061.001, "25h1m1.001s"),
    ],
)
def test_duration_is_gos(seconds: float, text: str) -> None:
    """Text for people, and nanoseconds for programs."""
    lived = logs.duration(seconds)

    assert f"lived={text}" == logs.text_line({"lived": lived})
    nanoseconds = round(seconds * 1000) * 10**6
    assert {"lived": nanoseconds} == json.loads(logs.json_line({"lived": lived}))


def test_libraries_stay_at_info(configure: Configure) -> None:
    """At debug they tell of every request, signatures unmasked."""
    stream = configure("debug")
    logging.getLogger("botocore.auth").debug("Signature: abc")
    logging.getLogger("botocore.auth").info("heard")
    log.debug("ours")

    assert "Signature" not in stream.getvalue()
    assert "heard" in stream.getvalue()
    assert "ours" in stream.getvalue()


@pytest.mark.parametrize(
    "name", ["PASSWORD", "DB_PASSWORD", "STRIPE_API_KEY", "APP_TOKEN", "MY_SECRET"]
)
def test_variables_with_names_of_secrets_are_struck(
    configure: Configure, name: str
) -> None:
    """A hook may print them."""
    stream = configure(**{name: "hunter22"})
    log.info("Execute hook", extra={"stdout": "it is hunter22"})

    assert "hunter22" not in stream.getvalue()


def test_last_output_line_is_cleaned_redacted_and_shortened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter22")
    tail = ("Traceback", "bad \x1b[31m password\thunter22", "", "  ")

    assert "bad \ufffd[31m password ***" == words_of(tail)
    assert "" == words_of(())
    assert len(words_of(("x" * 1000,))) < 1000


def test_undecodable_path_bytes_are_replaced() -> None:
    assert "/srv/caf?" == readable(Path(os.fsdecode(b"/srv/caf\xe9")))
