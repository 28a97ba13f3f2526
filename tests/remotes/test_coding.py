"""Servers that pack what was to be sent as it is."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes.download import Coding, coding_of

PROGRAM = os.urandom(100_000)
ARCHIVE = gzip.compress(PROGRAM)
ZIP = b"PK" + PROGRAM


def removed(
    tmp_path: Path, body: bytes, file: str, coding: str = "gzip", **known: int
) -> bytes:
    """Return the file as published, of which *body* arrived."""
    (tmp_path / "arrived").write_bytes(body)
    into = tmp_path / "into"
    if not Coding("host", coding, file, **known).remove(tmp_path / "arrived", into):
        return body
    return into.read_bytes()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
@pytest.mark.parametrize(
    ("file", "published"),
    [("app.tar.gz", ARCHIVE), ("app.zip", ZIP), ("app", PROGRAM), ("app.tar", ARCHIVE)],
)
def test_coding_put_on_for_the_way_is_taken_off(
    tmp_path: Path, file: str, published: bytes, coding: str
) -> None:
    packed = gzip.compress(published)

    assert published == removed(tmp_path, packed, file, coding)
    assert published == removed(tmp_path, packed, file, coding, expected=len(published))


@pytest.mark.parametrize(
    ("file", "published", "coding"),
    [
        ("app.tar.gz", ARCHIVE, "gzip"),
        ("APP.TGZ", ARCHIVE, "x-gzip"),
        ("app.tar.gz", ARCHIVE, "br"),
        ("app.zip", ZIP, "gzip"),
        ("app.zip", ZIP, "deflate"),
        ("app", PROGRAM, "gzip"),
        ("app.tar.gz", b"", "gzip"),
    ],
)
def test_file_with_wrong_content_encoding_is_left_unchanged(
    tmp_path: Path, file: str, published: bytes, coding: str
) -> None:
    """Servers mark what they store by its name, or carry a mark of the publisher."""
    assert published == removed(tmp_path, published, file, coding)


def test_published_size_decides(tmp_path: Path) -> None:
    known = {"expected": len(ARCHIVE)}

    assert ARCHIVE == removed(tmp_path, ARCHIVE, "app", **known)
    assert ARCHIVE == removed(tmp_path, ARCHIVE, "app", "br", **known)
    with pytest.raises(RemoteError, match="host offers 100000 bytes where 7 were pub"):
        removed(tmp_path, ARCHIVE, "app", expected=7)


def test_coding_that_cannot_be_taken_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RemoteError, match="sends app in the encoding br, which dewy did not"
    ):
        removed(tmp_path, b"whatever", "app", "br")


def test_damaged_coding_is_named(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"coding gzip.* damaged or cut short"):
        removed(tmp_path, gzip.compress(PROGRAM)[:-50_000], "app")


@pytest.mark.parametrize(
    "stated", ["", "identity", "Identity ", "aws-chunked", "UTF-8", "none", "binary"]
)
def test_no_op_content_encoding_is_ignored(stated: str) -> None:
    assert "" == coding_of({"Content-Encoding": stated})
    assert "" == coding_of({})


@pytest.mark.parametrize(
    ("stated", "coding"),
    [("gzip,aws-chunked", "gzip"), ("GZIP", "gzip"), ("br, gzip", "br, gzip")],
)
def test_codings_are_read(stated: str, coding: str) -> None:
    """Those of S3 among them, which keeps what is of the upload."""
    assert coding == coding_of({"Content-Encoding": stated})
