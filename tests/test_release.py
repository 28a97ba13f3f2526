"""Releases, and the names of deployments' records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.release import Deployment, Refusal, Release, is_audit_name

AT = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
NAME = "shipped_to_web-01_server_at_20310203T040506.000000789Z.txt"


def release(url: str) -> Release:
    return Release("v1.0.0", url, "one")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ghr://o/r/tag/v1.0.0/app.tar.gz", "app.tar.gz"),
        ("file:///srv/v1.0.0/a%20b%25.zip", "a b%.zip"),
        ("https://host/app.tgz?token=x#part", "app.tgz"),
        ("https://host/a%2Fb.tgz", "b.tgz"),
        ("https://host/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://host/%2E%2E", "artifact"),
        ("https://host/.", "artifact"),
        ("https://host/a%00b", "artifact"),
        ("https://host/", "artifact"),
        ("https://host", "artifact"),
    ],
)
def test_file_is_the_last_segment_of_the_url(url: str, expected: str) -> None:
    """Whatever a registry answers, it is a name one can write to."""
    assert expected == release(url).file


@given(st.text())
def test_release_file_name_is_single_path_segment(text: str) -> None:
    name = release(f"https://host/{text.replace('[', '').replace(']', '')}").file

    assert name not in {"", ".", ".."}
    assert not {"/", "\0"} & set(name)


def test_refused_candidates_do_not_make_another_release() -> None:
    """Withdrawing an old version is no reason to deploy the newest again."""
    first = Release("v1.0.0", "file:///a", "one", refused=(Refusal("v0", "older"),))

    assert release("file:///a") == first


def test_record_name_matches_format_of_original() -> None:
    deployment = Deployment(release("file:///a"), "server", AT, 789, "web-01")

    assert NAME == deployment.audit_name
    assert "shipped to web-01 server at 20310203T040506.000000789Z" == (
        deployment.audit_text
    )


def test_underscore_in_the_host_name_stays_in_the_text() -> None:
    deployment = Deployment(release("file:///a"), "server", AT, 0, "web_01")

    assert deployment.audit_text.startswith("shipped to web_01 server at ")


def test_record_is_stamped_in_utc() -> None:
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))

    assert (
        NAME
        == Deployment(release("file:///a"), "server", tokyo, 789, "web-01").audit_name
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, True),
        ("shipped_to_a_b_assets_at_20310203T040506.0Z.txt", True),
        ("shipped_to_web-01.txt", False),
        (f"{NAME}.tar.gz", False),
        (f"my_{NAME}", False),
        ("app_linux_amd64.tar.gz", False),
        (f"{NAME}\n", False),
    ],
)
def test_record_is_told_from_an_artifact(name: str, expected: bool) -> None:
    assert expected == is_audit_name(name)
