"""What hosts tell each other of a registry, in the original's JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dewy.deploy.registry_answer import (
    ZERO,
    Failure,
    RegistryAnswer,
    key,
    moment,
    seconds,
)
from dewy.errors import NoRelease, NotYet, RateLimited, RemoteError
from dewy.release import Release
from dewy.versions import Platform, Selection

AT = 1_800_000_000.25
RELEASE = Release(
    tag="v1.0.0",
    artifact_url="ghr://o/r/tag/v1.0.0/app.tar.gz",
    identity="sha256:ab",
    id="7",
    size=12,
    digest="sha256:ab",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    slot="blue",
    files=("SHA256SUMS",),
)


def named(text: str) -> str:
    return f"registry-cache/{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def test_key_is_the_originals() -> None:
    here = Selection(platform=Platform("linux", "amd64", "glibc"))

    assert named("ghr://o/r?a=1&b=x+y|linux|amd64") == key("ghr://o/r?b=x+y&a=1", here)


@pytest.mark.parametrize(
    "other",
    [
        Selection(platform=Platform("linux", "arm64", "glibc")),
        Selection(platform=Platform("linux", "amd64", "musl")),
        Selection(slot="blue", platform=Platform("linux", "amd64", "glibc")),
    ],
)
def test_hosts_with_another_answer_have_another_key(other: Selection) -> None:
    """The original forgot slot and C library, and dewy's answers depend on them."""
    here = Selection(platform=Platform("linux", "amd64", "glibc"))

    assert key("ghr://o/r", here) != key("ghr://o/r", other)


def test_json_has_the_originals_names() -> None:
    document = json.loads(RegistryAnswer(RELEASE, AT).claimed("host:1", AT + 1).text())
    response = document.pop("response")

    assert {
        "fetched_at": "2027-01-15T08:00:00.25Z",
        "locked_at": "2027-01-15T08:00:01.25Z",
        "locked_by": "host:1",
    } == document
    assert ("7", "v1.0.0", "blue") == tuple(response[n] for n in ("ID", "Tag", "Slot"))
    assert "ghr://o/r/tag/v1.0.0/app.tar.gz" == response["ArtifactURL"]
    assert "2026-01-02T03:04:05Z" == response["CreatedAt"]


def test_empty_entry_omits_fields_and_writes_zero_times() -> None:
    document = json.loads(RegistryAnswer().text())

    assert {"fetched_at": ZERO, "locked_at": ZERO} == document


@pytest.mark.parametrize(
    "failure",
    [
        None,
        Failure.of(RemoteError("down"), AT),
        Failure.of(NoRelease("none", since=datetime(2026, 1, 1, tzinfo=UTC)), AT),
    ],
)
def test_entry_survives_its_text(failure: Failure | None) -> None:
    entry = RegistryAnswer(RELEASE, AT, AT + 1, "host:1", failure)

    assert entry == RegistryAnswer.parse(entry.text())


def test_unknown_file_list_survives_serialization() -> None:
    """None at all would mean that there is no checksum to be asked for."""
    entry = RegistryAnswer(replace(RELEASE, files=None), AT)

    assert entry == RegistryAnswer.parse(entry.text())


def test_errors_come_back_as_they_were() -> None:
    for error in (RemoteError("a"), NotYet("b"), RateLimited("c"), NoRelease("d")):
        again = Failure.of(error, AT).error()

        assert (type(error), str(error)) == (type(again), str(again))


def test_answer_of_original_without_identity_is_discarded() -> None:
    """It counts as none, or an artifact that was replaced would go unseen."""
    text = (
        b'{"response":{"ID":"1","Tag":"v1.0.0","ArtifactURL":"ghr://x","CreatedAt":'
        b'null,"Slot":""},"fetched_at":"2027-01-15T08:00:00.123456789+09:00",'
        b'"locked_at":"0001-01-01T00:00:00Z"}'
    )
    entry = RegistryAnswer.parse(text)

    assert entry.release is None
    assert entry.locked_at is None
    assert 1_799_967_600.123456 == pytest.approx(entry.fetched_at, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"fetched_at": 7}',
        b'{"locked_at": "soon"}',
        b'{"response": {"Identity": "a"}}',
        b'{"response": 7}',
        b"[" * 100_000,
    ],
)
def test_malformed_entry_is_parsed_as_empty(text: bytes | None) -> None:
    assert RegistryAnswer() == RegistryAnswer.parse(text)


def test_clock_that_is_ahead_makes_nothing_fresh_for_ever() -> None:
    entry = RegistryAnswer(RELEASE, AT + 1000, AT + 1000, "host:1")

    assert 1000 == entry.age(AT) == entry.locked_ago(AT)
    assert float("inf") == RegistryAnswer().age(AT)


def test_times_are_gos() -> None:
    assert "2027-01-15T08:00:00Z" == moment(1_800_000_000)
    assert ZERO == moment(None)
    assert seconds(ZERO) is None
    assert 1_800_000_000.5 == seconds("2027-01-15T08:00:00.5Z")
