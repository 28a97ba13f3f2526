"""The options of telemetry."""

from __future__ import annotations

import re

from ..errors import ConfigError
from .kinds import FLAG
from .option import RUN, Option
from .proxying import PROXY
from .values import ValueKind, last

__all__ = ["TELLING"]

_ENDPOINT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)


def endpoint(text: str, what: str) -> str:
    """
    Return `HOST:PORT`, or "" for none.

    What is refused is not shown: it may be a URL with a password in it.
    """
    match = _ENDPOINT.fullmatch(text)
    if text and not (match and 0 < int(match[1]) < 65536):
        raise ConfigError(
            f"{what} must be HOST:PORT, such as collector.example:4317 or [::1]:4317; "
            "plain text instead of TLS is asked for by --otlp-insecure"
        )
    return text


ENDPOINT = ValueKind("HOST:PORT", last(endpoint))

TELLING = (
    Option(
        "telemetry",
        FLAG,
        "Answer /metrics on the local HTTP API, for Prometheus.",
        RUN | PROXY,
    ),
    Option(
        "otlp-endpoint",
        ENDPOINT,
        "Tell this OpenTelemetry collector, by gRPC; turns telemetry on.",
        RUN | PROXY,
    ),
    Option(
        "otlp-insecure",
        FLAG,
        "Tell it in plain text instead of TLS.",
        RUN | PROXY,
    ),
)
