"""
Log lines on stderr: `key=value` text, or one JSON object each.

Whatever a caller passes as `extra` becomes a key. Only the command line
configures this; everything else just logs.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote
from weakref import WeakKeyDictionary

from . import urls
from .errors import DeploymentError, DewyError, last_words, of_plugin

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "Trouble",
    "configure",
    "detail_of",
    "detailed",
    "duration",
    "json_line",
    "plain",
    "printable",
    "readable",
    "redactor",
    "struck",
    "summary",
    "text_line",
    "warn_once",
    "words_of",
]

SECRETS = (
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_ECR_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "DEWY_WEBHOOK_SECRET",
    "DOCKER_PASSWORD",
    "GCR_TOKEN",
    "GH_TOKEN",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_TOKEN",
    "MAIL_PASSWORD",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "REDIS_PASSWORD",
    "REDIS_SENTINEL_PASSWORD",
    "SLACK_TOKEN",
)
SHORTEST_SECRET = 6
LAST_LINE = 200
"""Characters of a program's last line that reasons quote."""

# Secrets of others that a hook's environment may hold, by their usual names.
_SECRET_NAME = re.compile(
    r"(?:PASS|PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|API_?KEY|PRIVATE_?KEY)$"
)

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR"}
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_TUPLE = r"\('([^']*)', (\d+)(?:, \d+)*\)"
_CALL = re.compile(rf"(?:\[Errno (\d+)\] )?Connect call failed {_TUPLE}")
_BINDING = re.compile(
    rf"(?:\[Errno \d+\] )?error while attempting to bind on address {_TUPLE}"
)
_PLAIN = re.compile(r'[^\s"=\\]+')


def configure(
    level: str,
    format: str,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """
    Send every log record of *level* (`debug`, `info`, `warn`, `error`) and above
    to *stream*, by default stderr, as `text` or `json`; of libraries never below info.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    render = json_line if format == "json" else spare_line
    handler.setFormatter(
        _Formatter(render, redactor(environ), tracebacks=level == "debug")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # At debug, libraries would tell of every request, signatures included.
    root.setLevel(max(_LEVELS[level], logging.INFO))
    ours = logging.DEBUG if level == "debug" else logging.NOTSET
    logging.getLogger("dewy").setLevel(ours)


def text_line(fields: Mapping[str, Any]) -> str:
    """
    Return `time=… level=INFO msg="…" key=value`, quoted where a reader would stumble.
    """
    return " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())


def spare_line(fields: Mapping[str, Any]) -> str:
    """Return `text_line` without the keys that have no value."""
    return text_line({k: v for k, v in fields.items() if v not in ("", None)})


def json_line(fields: Mapping[str, Any]) -> str:
    """Return a JSON object; durations are nanoseconds, types unknown to JSON text."""
    return json.dumps(fields, ensure_ascii=False, default=_plain)


def duration(seconds: float) -> timedelta:
    """Return the duration as log records take one: to the millisecond."""
    return timedelta(milliseconds=round(seconds * 1000))


def summary(exc: BaseException) -> str:
    """
    Describe an exception in one line, with its type where the text alone says little.

    Secrets are struck out, for it goes into files and to people.
    """
    text = struck(plain(" ".join(_text(exc).split())))
    if text and isinstance(exc, DewyError | OSError):
        return text
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    plugin = of_plugin(exc)
    whose = f" (a fault of {plugin})" if plugin else ""
    return ": ".join(filter(None, (type(exc).__name__, text))) + whose


def detailed(exc: BaseException) -> str:
    """
    Return `summary` and the program's own words that belong to it: never for HTTP.
    """
    detail = detail_of(exc)
    return f"{summary(exc)}: {detail}" if detail else summary(exc)


def detail_of(exc: BaseException) -> str:
    """Return the words of a program that belong to *exc*, in one line, or ""."""
    return words_of((exc.detail,)) if isinstance(exc, DeploymentError) else ""


def words_of(log_tail: Sequence[str]) -> str:
    """Return the last words of a program that wrote *log_tail*, in one line, or ""."""
    words = printable(" ".join(last_words(log_tail).split()))
    return struck(words[:LAST_LINE])


def _text(exc: BaseException) -> str:
    # People know files, not numbers of errors.
    if isinstance(exc, OSError) and exc.strerror and exc.filename:
        return f"{exc.filename}: {exc.strerror}"
    if "Connect call failed" in str(exc):
        return str(exc)
    return re.sub(r"^\[Errno -?\d+\] ", "", str(exc))


def plain(text: str) -> str:
    """Return *text* with addresses as people write them, where Python has tuples."""
    text = _CALL.sub(lambda m: f"{_place(m[2], m[3])}: {_why(m[1])}", text)
    text = _BINDING.sub(lambda m: f"cannot listen at {_place(m[1], m[2])}", text)
    text = re.sub(r"\[Errno -?\d+\] |\bError -?\d+ connecting to \S+\. ", "", text)
    return text.removeprefix("Multiple exceptions: ")


def _place(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(number: str | None) -> str:
    return os.strerror(int(number)) if number else "no connection"


def printable(text: str) -> str:
    """Return *text* for terminals, where a control character is a command."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def readable(text: object) -> str:
    """Return *text* with `?` for what is no text, as in some names of files."""
    return str(text).encode(errors="replace").decode()


def struck(text: str) -> str:
    """Return *text* without the secrets of this process, nor what looks like others."""
    return urls.strike(redactor(os.environ)(text))


def redactor(environ: Mapping[str, str]) -> Callable[[str], str]:
    """
    Return a function that strikes out secrets of *environ*, in every usual spelling.

    The last defence: nobody is to log them in the first place.
    """
    names = [n for n in environ if n in SECRETS or _SECRET_NAME.search(n)]
    secrets = [environ[name] for name in names]
    spelled = {form for secret in secrets for form in _spellings(secret)}
    forms = [form for form in spelled if len(form) >= SHORTEST_SECRET]
    if not forms:
        return str
    # The longest first, or what contains another would keep its rest.
    longest_first = sorted(forms, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda line: pattern.sub("***", line)


def _spellings(secret: str) -> Iterator[str]:
    for text in {secret, secret.strip(), *secret.split("\n")}:
        yield text
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield quote(text, safe="")


def _quoted(value: object) -> str:
    text = _shown(value)
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)


def _plain(value: object) -> str | int:
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1) * 1000
    return _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, BaseException):
        return summary(value)
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return plain(str(value))


def _span(value: timedelta) -> str:
    """Format a duration as Go does: `1h2m3.5s`, `250ms`."""
    milliseconds = value // timedelta(milliseconds=1)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{rest / 1000:g}s"


class _Formatter(logging.Formatter):
    """A formatter of log records; adds tracebacks only where they were asked for."""

    def __init__(
        self,
        render: Callable[[Mapping[str, Any]], str],
        redact: Callable[[str], str],
        *,
        tracebacks: bool,
    ) -> None:
        super().__init__()
        self._render = render
        self._redact = redact
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        exc = record.exc_info[1] if record.exc_info else None
        if exc is not None:
            fields.setdefault("error", summary(exc))
            if self._tracebacks:
                fields["traceback"] = "".join(traceback.format_exception(exc))
        return urls.strike(self._redact(self._render(fields)))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    moment = datetime.fromtimestamp(record.created, UTC)
    fields = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _NAMES.get(record.levelname, record.levelname),
        "msg": record.getMessage(),
    }
    extras = {k: v for k, v in vars(record).items() if k not in _STANDARD}
    return fields | {k: v for k, v in extras.items() if k not in fields}


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    A trouble with what is optional, such as a login or a certificate of the host.

    What is absent is no trouble. What is there and broken is told, and dewy goes on
    without it; docs/reference/optional-sources.md has the rule.

    Attributes:
        event: The message; "" for what is not worth one by itself.

        error: The reason, in one line, without secrets.

        file: The path of the file concerned, or "".
    """

    event: str
    error: str
    file: str = ""


_told: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[Hashable, frozenset[Trouble]]
] = WeakKeyDictionary()


def warn_once(log: logging.Logger, subject: Hashable, found: Iterable[Trouble]) -> None:
    """
    Warn of the troubles *found* with *subject*, each once for as long as it lasts.

    None have to be *found* for one that comes back to be told again.
    """
    # Only here: it takes longer to load than most commands to run.
    import asyncio

    told = _told.setdefault(asyncio.get_running_loop(), {})
    known, now = told.pop(subject, frozenset()), tuple(dict.fromkeys(found))
    for trouble in now:
        if trouble.event and trouble not in known:
            where = {"file": trouble.file} if trouble.file else {}
            log.warning(trouble.event, extra={**where, "error": trouble.error})
    if now:
        told[subject] = frozenset(now)
