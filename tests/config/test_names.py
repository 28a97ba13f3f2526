"""What an application is called."""

from __future__ import annotations

import pytest

from dewy.config.settings import app_name


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("ghr://owner/app", "app"),
        ("ghr://owner/app?artifact=a/b", "app"),
        ("s3://region/bucket/prefix/", "prefix"),
        ("img://host:5000/team/app:latest", "app"),
        ("grpc://host:9000", "host"),
        ("file:///srv/releases", "releases"),
        ("", ""),
    ],
)
def test_name_is_the_end_of_the_registry(registry: str, expected: str) -> None:
    """Without the query and without a tag or port."""
    assert expected == app_name(registry)


def test_name_that_was_given_counts() -> None:
    """Whatever the registry is called."""
    assert "shop" == app_name("img://host/team/app", "shop")
