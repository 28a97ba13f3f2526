"""What Google's client complains of, in our words."""

from __future__ import annotations

import pytest
import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth

from dewy.errors import RateLimited, RemoteError
from dewy.remotes.download import Interrupted
from dewy.remotes.objects import gcs_errors

WHERE = "gs://releases"


def answered(status: int, **headers: str) -> Exception:
    response = requests.Response()
    response.status_code = status
    response.headers.update({k.replace("_", "-"): v for k, v in headers.items()})
    error: Exception = google.from_http_status(status, "own words", response=response)
    return error


def translated(exc: Exception) -> RemoteError:
    with pytest.raises(RemoteError) as caught, gcs_errors.translated(WHERE):
        raise exc
    assert "\n" not in str(caught.value)
    assert WHERE in str(caught.value)
    assert "own words" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "advice"),
    [(404, "no such bucket"), (403, "IAM"), (401, "GOOGLE_APPLICATION_CREDENTIALS")],
)
def test_permanent_http_error_includes_advice(status: int, advice: str) -> None:
    error = translated(answered(status))

    assert advice in str(error)
    assert not isinstance(error, Interrupted)


def test_limit_is_honoured() -> None:
    error = translated(answered(429, Retry_After="17"))

    assert isinstance(error, RateLimited)
    assert 17.0 == error.retry_after


def test_failure_of_the_server_may_pass() -> None:
    error = translated(answered(503, Retry_After="17"))

    assert isinstance(error, Interrupted)
    assert 17.0 == error.retry_after


@pytest.mark.parametrize(
    ("exc", "message"),
    [
        (requests.exceptions.SSLError("own words"), "REQUESTS_CA_BUNDLE"),
        (auth.RefreshError("own words"), "refused"),
        (auth.DefaultCredentialsError("own words"), "no credentials"),
    ],
)
def test_tls_or_auth_error_includes_advice(exc: Exception, message: str) -> None:
    error = translated(exc)

    assert message in str(error)
    assert not isinstance(error, Interrupted)
