"""Each way a call can end is told in one line of our own."""

from __future__ import annotations

import pytest

from dewy.errors import RateLimited, RemoteError
from tests.needs import needs

pytestmark = needs("grpc")

CONNECTING = "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: "


def refused(name: str, details: str = "hunter2", *, query: str = "", **metadata: str):
    from grpc import StatusCode

    from dewy.remotes.grpc.client import refusal
    from dewy.remotes.grpc.endpoint import GRPCTarget

    endpoint = GRPCTarget("host:443", query != "plain", cert="x" * (query == "cert"))
    sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
    return refusal(endpoint, StatusCode[name], details, sent)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DEADLINE_EXCEEDED", "did not answer in time"),
        ("UNAUTHENTICATED", "does not recognise dewy"),
        ("PERMISSION_DENIED", "refuses access"),
        ("UNIMPLEMENTED", "knows no dewy.RegistryService"),
        ("INVALID_ARGUMENT", "does not accept the request"),
        ("INTERNAL", "answered INTERNAL"),
        ("UNAVAILABLE", "is not available, or broke off the connection"),
    ],
)
def test_status_is_explained_without_quoting_the_server(name: str, said: str) -> None:
    error = refused(name)

    assert type(error) is RemoteError
    assert str(error).startswith(f"grpc://host:443 {said}")
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (CONNECTING + "Connection refused", "connection refused"),
        (CONNECTING + "Network is unreachable", "no route"),
        (CONNECTING + "CERTIFICATE_VERIFY_FAILED", "name its authority with ca="),
        (CONNECTING + "Hostname Verification Check failed.", "of another name"),
        (CONNECTING + "WRONG_VERSION_NUMBER", "add .no-tls=true"),
        (CONNECTING + "Ssl handshake failed: X", "TLS handshake failed"),
        (CONNECTING + "connect: Connection timed out", "in time"),
        ("errors resolving host:443: [field:hostname lookup error]", "resolved"),
        ("DNS resolution failed for host:443", "resolved"),
    ],
)
def test_connection_that_could_not_be_made_says_why(details: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        raise refused("UNAVAILABLE", details)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ("Connection refused", "connection refused, through proxy p.test:3128"),
        (
            "HTTP proxy returned response code 407",
            "proxy p.test:3128 does not connect to it: give its login",
        ),
        ("HTTP proxy returned response code 502", "p.test:3128 does not connect to it"),
    ],
)
def test_proxy_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch, details: str, said: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@p.test:3128")
    error = refused("UNAVAILABLE", CONNECTING + details)

    assert str(error).startswith("grpc://host:443 could not be reached")
    assert said in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("plain", "does it want TLS"),
        ("", "does it want a client certificate"),
        ("cert", "does it trust the client certificate"),
    ],
)
def test_connection_that_was_closed_silently_raises_a_question(
    query: str, said: str
) -> None:
    with pytest.raises(RemoteError, match=said):
        raise refused("UNAVAILABLE", CONNECTING + "Socket closed", query=query)


def test_rate_limit_says_how_long_to_stay_away() -> None:
    limited = refused("RESOURCE_EXHAUSTED", grpc_retry_pushback_ms="90000")

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 90.0
    assert "in 90 s" in str(limited)


def test_retry_pushback_is_limited_to_an_hour() -> None:
    assert refused("UNAVAILABLE", grpc_retry_pushback_ms="9" * 15).retry_after == 3600
    assert refused("UNAVAILABLE", grpc_retry_pushback_ms="9" * 5000).retry_after == 3600
    assert refused("UNAVAILABLE", grpc_retry_pushback_ms="-1").retry_after is None
    assert "later" in str(refused("RESOURCE_EXHAUSTED", other="1"))
