from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from dewy.deploy.signatures import minisign
from dewy.deploy.signatures.minisign import MinisignKey
from dewy.errors import SignatureError
from tests.deploy.signatures.signing import COMMENT, CONTENT, Minisign


@pytest.fixture
def pair() -> Minisign:
    return Minisign()


def key_of(pair: Minisign) -> MinisignKey:
    key = minisign.read(pair.public)
    assert key is not None
    return key


@pytest.mark.parametrize("legacy", [False, True])
async def test_signature_by_the_key_verifies(
    artifact: Path, pair: Minisign, legacy: bool
) -> None:
    signature = pair.sign(CONTENT, legacy=legacy)

    assert await key_of(pair).verifies(artifact, signature)
    assert await key_of(pair).verifies(artifact, signature.replace(b"\n", b"\r\n"))


async def test_signature_made_by_minisign_itself_verifies(tmp_path: Path) -> None:
    """Of a file that holds "test"."""
    key = minisign.read(b"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
    signature = (
        b"untrusted comment: signature from minisign secret key\n"
        b"RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n"
        b"trusted comment: timestamp:1555779966\tfile:test\n"
        b"QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA=="
    )
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"test")
    bad.write_bytes(b"tesT")

    assert key is not None
    assert await key.verifies(good, signature)
    assert not await key.verifies(bad, signature)


@pytest.mark.parametrize("legacy", [False, True])
async def test_signature_over_other_bytes_does_not_verify(
    artifact: Path, pair: Minisign, legacy: bool
) -> None:
    signature = pair.sign(CONTENT + b".", legacy=legacy)

    assert not await key_of(pair).verifies(artifact, signature)


async def test_signature_by_another_key_does_not_verify(
    artifact: Path, pair: Minisign
) -> None:
    other = Minisign()
    signature = other.sign(CONTENT)
    assert not await key_of(pair).verifies(artifact, signature)

    other.id = pair.id
    signature = other.sign(CONTENT)
    assert not await key_of(pair).verifies(artifact, signature)


async def test_signature_with_altered_trusted_comment_does_not_verify(
    artifact: Path, pair: Minisign
) -> None:
    signature = pair.sign(CONTENT)
    altered = signature.replace(COMMENT, COMMENT.replace(b"app", b"abc"))

    assert signature != altered
    assert not await key_of(pair).verifies(artifact, altered)


async def test_legacy_signature_labelled_prehashed_does_not_verify(
    artifact: Path, pair: Minisign
) -> None:
    lines = pair.sign(CONTENT, legacy=True).splitlines()
    raw = b64decode(lines[1])
    lines[1] = b64encode(b"ED" + raw[2:])

    assert not await key_of(pair).verifies(artifact, b"\n".join(lines))


async def test_legacy_signature_of_large_file_is_refused(
    artifact: Path, pair: Minisign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minisign, "WHOLE", 6999)
    signature = pair.sign(CONTENT, legacy=True)

    with pytest.raises(SignatureError, match=r"^app\.tar\.gz is larger .* minisign -H"):
        await key_of(pair).verifies(artifact, signature)
    assert await key_of(pair).verifies(artifact, pair.sign(CONTENT))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\xff\xfe",
        b"untrusted comment: x\nRWQf\ntrusted comment: y\nAAAA\n",
        b"untrusted comment: x\n" + b"A" * 100 + b"\ntrusted comment: y\n" + b"A" * 88,
    ],
)
async def test_anything_else_does_not_verify(
    artifact: Path, pair: Minisign, signature: bytes
) -> None:
    assert not await key_of(pair).verifies(artifact, signature)


async def test_signature_cut_short_does_not_verify(
    artifact: Path, pair: Minisign
) -> None:
    signature = pair.sign(CONTENT).rstrip()
    for end in range(0, len(signature), 5):
        assert not await key_of(pair).verifies(artifact, signature[:end])


def test_key_is_read_with_or_without_its_comment(pair: Minisign) -> None:
    expected = pair.id
    for content in (pair.public, pair.line, pair.public.replace(b"\n", b"\r\n")):
        key = minisign.read(content)
        assert key is not None
        assert expected == key.id


def test_anything_else_is_no_key(pair: Minisign) -> None:
    for content in (b"", pair.line[:-1], pair.public + pair.line, b"x" + pair.line):
        assert minisign.read(content) is None
