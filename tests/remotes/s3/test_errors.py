"""What S3 complains of, in our words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as aws

from dewy.errors import ConfigError, RateLimited, RemoteError
from dewy.remotes.download import Interrupted
from dewy.remotes.objects import s3_errors

WHERE = "s3://eu-central-1/releases"


def answered(
    status: int, code: str, headers: dict[str, str] | None = None, **error: str
) -> aws.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "the server's own words", **error},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
    }
    return aws.ClientError(response, "ListObjectsV2")


def translated(exc: Exception) -> RemoteError:
    with pytest.raises(RemoteError) as caught, s3_errors.translated(WHERE):
        raise exc
    assert "\n" not in str(caught.value)
    assert WHERE in str(caught.value)
    assert "own words" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (404, "NoSuchBucket", "no such bucket"),
        (403, "AccessDenied", "not permitted"),
        (403, "403", "not permitted"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID"),
        (400, "ExpiredToken", "expired"),
        (403, "RequestTimeTooSkewed", "clock"),
        (501, "NotImplemented", "does not support"),
    ],
)
def test_permanent_error_includes_advice(status: int, code: str, advice: str) -> None:
    error = translated(answered(status, code))

    assert advice in str(error)
    assert not isinstance(error, Interrupted)


@pytest.mark.parametrize(
    "exc",
    [
        answered(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        answered(400, "AuthorizationHeaderMalformed", Region="eu-west-1"),
    ],
)
def test_wrong_region_error_names_bucket_region(exc: aws.ClientError) -> None:
    assert "write s3://eu-west-1/" in str(translated(exc))


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (429, "429"), (400, "Throttling")]
)
def test_limit_is_honoured(status: int, code: str) -> None:
    error = translated(answered(status, code, {"retry-after": "17"}))

    assert isinstance(error, RateLimited)
    assert 17.0 == error.retry_after


def test_failure_of_the_server_may_pass() -> None:
    error = translated(answered(503, "ServiceUnavailable", {"retry-after": "17"}))

    assert isinstance(error, Interrupted)
    assert 17.0 == error.retry_after


def test_code_that_is_none_is_not_shown() -> None:
    assert "<b>" not in str(translated(answered(418, "<b>secret</b>")))


def test_certificate_that_is_not_trusted_is_no_matter_of_patience() -> None:
    error = translated(aws.SSLError(endpoint_url="u", error="e"))

    assert "AWS_CA_BUNDLE" in str(error)
    assert not isinstance(error, Interrupted)


def test_wrong_configuration_is_an_error_of_configuration() -> None:
    with (
        pytest.raises(ConfigError, match="profile"),
        s3_errors.configured(WHERE),
    ):
        raise aws.ProfileNotFound(profile="nobody")


def test_anything_else_is_an_error_all_the_same() -> None:
    assert "ParamValidationError" in str(
        translated(aws.ParamValidationError(report="own words"))
    )
