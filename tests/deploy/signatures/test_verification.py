from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.signatures import Key, cosign, minisign
from dewy.deploy.signatures.verification import require_listed, verify
from dewy.errors import DeploymentError, Missing, RemoteError, SignatureError
from dewy.release import Release
from tests.deploy.signatures.signing import CONTENT, Cosign, Minisign

FILE = "app.tar.gz"

Pair = Minisign | Cosign


class Published:
    """Files beside the artifact, and which were read."""

    def __init__(self, **files: bytes) -> None:
        self.files = {f"{FILE}.{name}": content for name, content in files.items()}
        self.read_names: list[str] = []

    @property
    def release(self) -> Release:
        url, files = f"mem://x/v1/{FILE}", ("SHA256SUMS", *self.files)
        return Release(tag="v1", artifact_url=url, identity="1", files=files)

    async def read(self, name: str) -> bytes:
        self.read_names.append(name)
        return self.files[name]


def keys_of(*pairs: Pair) -> Sequence[Key]:
    readers = {Minisign: minisign.read, Cosign: cosign.read}
    found = [readers[type(pair)](pair.public) for pair in pairs]
    return [key for key in found if key is not None]


async def test_signature_that_verifies_is_returned_and_logged(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pair = Minisign()
    published = Published(minisig=pair.sign(CONTENT))
    found = await verify(
        artifact, release=published.release, keys=keys_of(pair), read=published.read
    )

    assert (f"{FILE}.minisig", pair.sign(CONTENT)) == found
    assert "Verified signature" in caplog.messages


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("pair", "name"), [(Minisign(), "minisig"), (Cosign(), "sig")])
async def test_signature_in_windows_text_encoding_verifies(
    artifact: Path, pair: Pair, name: str, encoding: str
) -> None:
    """`>` of PowerShell makes UTF-16 of what a program prints, and ends lines so."""
    text = pair.sign(CONTENT).decode().replace("\n", "\r\n")
    published = Published(**{name: text.encode(encoding)})
    keys = keys_of(pair)

    assert await verify(
        artifact, release=published.release, keys=keys, read=published.read
    )


@pytest.mark.parametrize("signer", range(4))
async def test_any_of_several_keys_may_sign(artifact: Path, signer: int) -> None:
    pairs: list[Pair] = [Minisign(), Minisign(), Cosign(), Cosign()]
    pair = pairs[signer]
    published = Published(**{pair.suffix[1:]: pair.sign(CONTENT)})

    assert await verify(
        artifact, release=published.release, keys=keys_of(*pairs), read=published.read
    )
    assert [FILE + pair.suffix] == published.read_names


async def test_valid_signature_beside_invalid_is_accepted(artifact: Path) -> None:
    """Of several kinds, too, any may sign."""
    pair, other = Cosign(), Minisign()
    published = Published(minisig=other.sign(b"another"), sig=pair.sign(CONTENT))

    assert await verify(
        artifact,
        release=published.release,
        keys=keys_of(other, pair),
        read=published.read,
    )


async def test_wrong_signature_is_a_verdict(artifact: Path) -> None:
    published = Published(minisig=Minisign().sign(CONTENT))

    with pytest.raises(
        SignatureError, match=r"^signature of app\.tar\.gz does not verify"
    ) as caught:
        await verify(
            artifact,
            release=published.release,
            keys=keys_of(Minisign()),
            read=published.read,
        )
    assert isinstance(caught.value, DeploymentError)
    assert not caught.value.host


async def test_absent_signature_is_refused(artifact: Path) -> None:
    """One of a kind that none of the keys makes is none."""
    published = Published(sig=Cosign().sign(CONTENT), asc=b"")

    with pytest.raises(
        SignatureError,
        match=rf"^{FILE} has no signature; publish {FILE}\.minisig beside it",
    ):
        await verify(
            artifact,
            release=published.release,
            keys=keys_of(Minisign(), Minisign()),
            read=published.read,
        )
    assert [] == published.read_names


async def test_unreadable_signature_is_not_passed_over(artifact: Path) -> None:
    async def read(name: str) -> bytes:
        raise RemoteError("the wire was cut")

    pair = Minisign()
    published = Published(minisig=pair.sign(CONTENT))

    with pytest.raises(RemoteError):
        await verify(artifact, release=published.release, keys=keys_of(pair), read=read)


def test_all_kinds_that_would_do_are_named() -> None:
    with pytest.raises(
        SignatureError, match=rf"publish {FILE}\.minisig or {FILE}\.sig"
    ):
        require_listed(Published().release, keys_of(Minisign(), Cosign(), Cosign()))


async def test_signature_is_asked_for_where_nothing_is_listed(artifact: Path) -> None:
    """As beside artifacts that a gRPC registry names."""
    pair = Minisign()
    published = Published(minisig=pair.sign(CONTENT))
    unlisted = replace(published.release, files=None)
    keys = keys_of(Cosign(), pair)

    async def read(name: str) -> bytes:
        if name not in published.files:
            raise Missing("404")
        return await published.read(name)

    name, _ = await verify(artifact, release=unlisted, keys=keys, read=read)
    assert f"{FILE}.minisig" == name
    published.files.clear()
    with pytest.raises(SignatureError, match="has no signature; publish"):
        await verify(artifact, release=unlisted, keys=keys, read=read)


async def test_listed_signature_that_is_gone_is_an_error(artifact: Path) -> None:
    published = Published(minisig=b"")

    async def read(name: str) -> bytes:
        raise Missing("404")

    with pytest.raises(Missing):
        await verify(
            artifact, release=published.release, keys=keys_of(Minisign()), read=read
        )
