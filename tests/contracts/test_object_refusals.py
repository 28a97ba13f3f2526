"""What any object store's client complains of, in our words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import requests
from botocore import exceptions as aws
from google.auth import exceptions as auth

from dewy.remotes.download import Interrupted
from dewy.remotes.objects import gcs_errors as gcs
from dewy.remotes.objects import s3_errors as s3
from dewy.remotes.objects.store import NoCredentials

Translated = Callable[..., AbstractContextManager[None]]

BROKEN = "broke off the connection"


@pytest.mark.parametrize(
    ("translated", "exc", "message"),
    [
        (s3.translated, aws.EndpointConnectionError(endpoint_url="u"), "be reached"),
        (s3.translated, aws.ConnectTimeoutError(endpoint_url="u"), "in time"),
        (s3.translated, aws.ReadTimeoutError(endpoint_url="u"), "in time"),
        (s3.translated, aws.ConnectionClosedError(endpoint_url="u"), BROKEN),
        (s3.translated, aws.ProxyConnectionError(proxy_url="u"), "proxy"),
        (
            s3.translated,
            aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),
            BROKEN,
        ),
        (gcs.translated, requests.Timeout("own words"), "in time"),
        (gcs.translated, requests.exceptions.ProxyError("own words"), "proxy"),
        (
            gcs.translated,
            requests.ConnectionError("NewConnectionError own words"),
            "be reached",
        ),
        (gcs.translated, requests.ConnectionError("own words"), BROKEN),
        (gcs.translated, requests.exceptions.ChunkedEncodingError(), BROKEN),
        (gcs.translated, ConnectionResetError("own words"), BROKEN),
        (gcs.translated, auth.TransportError("own words"), "no token"),
        (gcs.translated, auth.RefreshError("own words", retryable=True), "no token"),
    ],
)
def test_connection_that_failed_may_work_again(
    translated: Translated, exc: Exception, message: str
) -> None:
    with pytest.raises(Interrupted, match=message) as caught, translated("here"):
        raise exc

    told = str(caught.value)
    assert told.startswith(("here", "the proxy to here"))
    assert "\n" not in told
    assert "own words" not in told


@pytest.mark.parametrize(
    ("translated", "exc", "advice"),
    [
        (s3.translated, aws.NoCredentialsError(), "set AWS_ACCESS_KEY_ID"),
        (
            gcs.translated,
            auth.DefaultCredentialsError("own words"),
            "set GOOGLE_APPLICATION_CREDENTIALS",
        ),
    ],
)
def test_lack_of_credentials_has_advice(
    translated: Translated, exc: Exception, advice: str
) -> None:
    """Its own kind: the client is made anew before it is told."""
    with (
        pytest.raises(NoCredentials, match=f"no credentials; {advice}"),
        translated("here"),
    ):
        raise exc
