from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dewy.errors import RemoteError
from dewy.remotes.github import answers
from dewy.remotes.github.answers import GitHubAsset

DIGEST = "sha256:" + "0a" * 32


def asset(**fields: Any) -> dict[str, Any]:
    """An asset as GitHub tells it."""
    plain = {
        "id": 7,
        "name": "app_linux_amd64.tar.gz",
        "size": 12,
        "state": "uploaded",
        "digest": DIGEST,
        "updated_at": "2031-01-02T03:04:05Z",
    }
    return {**plain, **fields}


def release(**fields: Any) -> dict[str, Any]:
    """A release as GitHub tells it."""
    plain = {
        "id": 1,
        "tag_name": "v1.0.0",
        "draft": False,
        "published_at": "2031-01-02T03:04:05Z",
        "upload_url": "https://uploads.github.com/x{?name,label}",
        "assets": [asset()],
    }
    return {**plain, **fields}


def test_release_is_read() -> None:
    """With what the registry needs, and nothing else."""
    read = answers.release("h", release(body="notes", author={}))

    assert (1, "v1.0.0", False) == (read.id, read.tag, read.draft)
    assert datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC) == read.published_at
    assert DIGEST == read.assets[0].digest == read.assets[0].identity


def test_draft_has_no_time() -> None:
    """It is not published."""
    assert answers.release("h", release(draft=True, published_at=None)).draft


@pytest.mark.parametrize("state", ["starter", "open", ""])
def test_half_uploaded_assets_are_not_there_yet(state: str) -> None:
    """GitHub lists them before their bytes have arrived."""
    read = answers.release("h", release(assets=[asset(state=state)]))

    assert () == read.assets


@pytest.mark.parametrize("digest", [None, "", "md5:00", "sha256:XYZ"])
def test_without_a_digest_identity_is_that_of_the_upload(digest: str | None) -> None:
    """A replaced asset has another id, size or time."""
    read = answers.release("h", release(assets=[asset(digest=digest)])).assets[0]

    assert "" == read.digest
    assert "asset:7:12:2031-01-02T03:04:05Z" == read.identity


def test_asset_is_found_by_name() -> None:
    """Or not."""
    read = answers.release("h", release())

    assert isinstance(read.asset("app_linux_amd64.tar.gz"), GitHubAsset)
    assert read.asset("app") is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "v1.0.0",
        {},
        release(id=None),
        release(tag_name=None),
        release(published_at="yesterday"),
        release(published_at="2031-01-02T03:04:05"),
        release(published_at=5),
        release(upload_url=None),
        release(assets=None),
        release(assets=[None]),
        release(assets=[asset(size="big")]),
        release(assets=[asset(name=5)]),
        release(assets=[asset(digest=5)]),
        release(assets=[{}]),
    ],
)
def test_rubbish_is_an_error(document: object) -> None:
    """Not an exception from the depth of a parser."""
    with pytest.raises(RemoteError, match="not a release"):
        answers.release("h", document)


def test_page_is_a_list() -> None:
    """An object is what GitHub answers when something is wrong."""
    assert 2 == len(answers.releases("h", [release(), release(id=2)]))
    with pytest.raises(RemoteError, match="not a list of releases"):
        answers.releases("h", {"message": "hello"})


def test_token_is_read() -> None:
    """With the moment it ends."""
    document = {"token": "ghs_1", "expires_at": "2031-01-02T03:04:05Z"}

    assert ("ghs_1", datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)) == answers.token(
        "h", document
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"token": "", "expires_at": "2031-01-02T03:04:05Z"},
        {"token": "secret", "expires_at": None},
        {"token": "secret", "expires_at": "soon"},
        {"token": 5, "expires_at": "2031-01-02T03:04:05Z"},
    ],
)
def test_rubbish_for_a_token_is_an_error(document: object) -> None:
    """Which does not repeat it."""
    with pytest.raises(RemoteError, match="not an installation token") as caught:
        answers.token("h", document)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "expected"),
    [({"message": "Rate Limit"}, "rate limit"), ({"message": 1}, ""), ([], "")],
)
def test_message_is_words_or_nothing(document: object, expected: str) -> None:
    """Errors may be rubbish too."""
    assert expected == answers.message(document)


def test_digest_of_unknown_form_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """It would guard the artifact."""
    document = release(assets=[{**asset(digest="blake3:00"), "name": "odd"}])
    for _ in range(2):
        answers.release("h", document)

    assert ["Digest not understood"] == [each.message for each in caplog.records]
