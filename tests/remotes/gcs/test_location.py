"""What a URL of Google Cloud Storage says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError
from dewy.remotes.objects.gcs import GCSLocation


def read(url: str) -> GCSLocation:
    return GCSLocation.read(urlsplit(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("gs://releases", GCSLocation("releases")),
        ("gs://my_rel.example.com/", GCSLocation("my_rel.example.com")),
        ("gs://releases/a/b/", GCSLocation("releases", "a/b")),
        ("gs://releases//a%20b", GCSLocation("releases", "a b")),
    ],
)
def test_parts_are_taken_from_the_url(url: str, expected: GCSLocation) -> None:
    assert expected == read(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs:///releases", "no bucket"),
        ("gs://user:secret@releases/a", "no bucket"),
        ("gs://x", "no bucket"),
        ("gs://releases?endpoint=http://h", "no option 'endpoint'"),
    ],
)
def test_invalid_url_is_rejected_with_secrets_hidden(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(url)

    assert "secret" not in str(caught.value)


def test_object_url_round_trips() -> None:
    key = "app/v1.0.0+blue/app 1?#.tgz"

    assert GCSLocation("releases", key) == read(GCSLocation("releases").url(key))
