"""Digests as object stores keep them."""

from __future__ import annotations

import hashlib

import pytest

from dewy.remotes.objects.source import DigestCheck, new, strongest

CHECK = b"123456789"


@pytest.mark.parametrize(
    ("name", "expected"), [("crc32", "cbf43926"), ("crc32c", "e3069283")]
)
def test_checksums_are_those_of_the_catalogue(name: str, expected: str) -> None:
    """The check values of the algorithms' specifications, piece by piece."""
    sum_ = new(name)
    sum_.update(CHECK[:4])
    sum_.update(CHECK[4:])

    assert expected == sum_.digest().hex()


def test_strongest_known_checksum_is_selected() -> None:
    assert "sha256" == strongest({"crc32": b"", "sha256": b""})
    assert "md5" == strongest(["crc32c", "md5"])
    assert "" == strongest(["whirlpool"])


def test_other_bytes_do_not_pass() -> None:
    check = DigestCheck({"md5": hashlib.md5(CHECK).digest()})
    check.update(CHECK[:-1])

    assert not check.passed
    check.update(CHECK[-1:])
    assert check.passed


def test_without_a_digest_anything_passes() -> None:
    check = DigestCheck({})
    check.update(CHECK)

    assert check.passed
