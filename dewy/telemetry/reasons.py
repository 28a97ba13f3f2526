"""Reasons why a collector took nothing, from the log of OpenTelemetry's exporters."""

from __future__ import annotations

import logging

from grpc import StatusCode

__all__ = ["Reasons"]

EXPORTERS = "opentelemetry.exporter.otlp"

_ANSWERS = {
    StatusCode.UNAVAILABLE: "it could not be reached, or broke the connection off",
    StatusCode.DEADLINE_EXCEEDED: "it did not answer in time",
    StatusCode.UNAUTHENTICATED: (
        "it does not know us: check OTEL_EXPORTER_OTLP_HEADERS"
    ),
    StatusCode.PERMISSION_DENIED: (
        "it does not let us: check OTEL_EXPORTER_OTLP_HEADERS"
    ),
    StatusCode.UNIMPLEMENTED: "it speaks no OTLP: is the address right?",
    StatusCode.RESOURCE_EXHAUSTED: "it is told too much or too often",
}
# Of the C core's own words about a connection that could not be made, in this order.
_SIGNS = (
    ("HTTP proxy returned", "the proxy does not connect to it: check HTTPS_PROXY"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS: add --otlp-insecure if that is meant"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ("certificate signature failure", "its certificate is not trusted"),
    ("Hostname Verification", "its certificate has another name"),
    ("handshake", "its TLS handshake failed"),
    ("refused", "connection refused"),
    ("unreachable", "no route to it"),
    ("lookup", "its name could not be resolved"),
    ("resol", "its name could not be resolved"),
    ("timed out", "it could not be reached in time"),
    ("timeout", "it could not be reached in time"),
    ("closed", "it closed the connection: does it want TLS?"),
)


class Reasons(logging.Handler):
    """
    Handler in the place of those that would log each failure, with several lines.

    The exporters return that they failed, and why only in their log.

    Attributes:
        last: The last reason in dewy's words, or "".
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def begin(self) -> None:
        """Take over the exporters' log; the last one that did has it."""
        logger = logging.getLogger(EXPORTERS)
        logger.handlers[:] = [self]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        # Their filter against repetitions would hide a reason that is new.
        logging.getLogger(f"{EXPORTERS}.proto.grpc.exporter").filters.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason that is in *record*, if there is one."""
        args = record.args if isinstance(record.args, tuple) else ()
        code = next((each for each in args if isinstance(each, StatusCode)), None)
        # A call that was cancelled is one that dewy itself gave up.
        if code is not None and code is not StatusCode.CANCELLED:
            self.last = _reason(code, str(args[-1]))


def _reason(code: StatusCode, details: str) -> str:
    if code is StatusCode.UNAVAILABLE:
        found = (means for sign, means in _SIGNS if sign.lower() in details.lower())
        return next(found, _ANSWERS[code])
    # What a server says is never quoted.
    return _ANSWERS.get(code, f"it answered {code.name}")
