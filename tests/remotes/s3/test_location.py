"""What a URL of S3 says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError
from dewy.remotes.objects.s3 import S3Location


def read(url: str) -> S3Location:
    return S3Location.read(urlsplit(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://eu-central-1/releases", S3Location("eu-central-1", "releases")),
        ("s3://eu-central-1/releases/", S3Location("eu-central-1", "releases")),
        ("s3://eu-central-1/r.x_y/a/b/", S3Location("eu-central-1", "r.x_y", "a/b")),
        ("s3://a/rel//a%20b", S3Location("a", "rel", "a b")),
        ("s3://a/rel?region=b", S3Location("b", "rel")),
        ("s3:///rel?region=b", S3Location("b", "rel")),
        (
            "s3://a/rel?endpoint=http://10.0.0.1:9000",
            S3Location("a", "rel", "", "http://10.0.0.1:9000"),
        ),
    ],
)
def test_parts_are_taken_from_the_url(url: str, expected: S3Location) -> None:
    assert expected == read(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3:///releases", "no region"),
        ("s3://user:secret@a/releases", "no region"),
        ("s3://127.0.0.1:9000/releases", "no region"),
        ("s3://eu-central-1", "no bucket"),
        ("s3://eu-central-1/x", "no bucket"),
        ("s3://eu-central-1/releases?endpoit=x", "did you mean endpoint"),
        ("s3://a/releases?endpoint=10.0.0.1:9000", "scheme://"),
        ("s3://a/releases?endpoint=ftp://host", "https://HOST"),
        ("s3://a/releases?endpoint=http://u:secret@host", "credentials"),
    ],
)
def test_invalid_url_is_rejected_with_secrets_hidden(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["", "http://10.0.0.1:9000", "https://host/base", "http://[::1]:9000"]
)
def test_object_url_round_trips(endpoint: str) -> None:
    place = S3Location("eu-central-1", "releases", "", endpoint)
    key = "app/v1.0.0+blue/app 1?#.tgz"

    assert S3Location("eu-central-1", "releases", key, endpoint) == read(place.url(key))


def test_object_url_matches_format_of_original() -> None:
    place = S3Location("eu-central-1", "releases", "", "http://10.0.0.1:9000")

    assert (
        "s3://eu-central-1/releases/app/v1.0.0+blue/app.tgz?endpoint=http://10.0.0.1:9000"
        == place.url("app/v1.0.0+blue/app.tgz")
    )


def test_buckets_differ_in_their_names() -> None:
    places = {
        S3Location(r, b, "", e).name
        for r in "ab"
        for b in "cd"
        for e in ("", "http://e")
    }

    assert 8 == len(places)
    assert S3Location("a", "b", "c").name == S3Location("a", "b", "d").name
