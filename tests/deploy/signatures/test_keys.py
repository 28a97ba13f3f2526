from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.deploy.signatures import keys
from dewy.deploy.signatures.keys import load, load_all, of
from dewy.errors import (
    ConfigError,
    DeploymentError,
    ImplementationUnavailable,
    Mistakes,
)
from tests.deploy.signatures.conftest import Making
from tests.deploy.signatures.signing import Cosign, CosignEd25519, Minisign


def test_kind_of_key_is_told_by_content(tmp_path: Path, gnupg: Making) -> None:
    pair = gnupg()
    found = []
    for content in (
        Minisign().public,
        Cosign().public,
        CosignEd25519().public,
        pair.public,
        pair.binary,
    ):
        (tmp_path / "key").write_bytes(content)
        found.append(load("key", tmp_path).suffix)

    assert [".minisig", ".sig", ".sig", ".asc", ".asc"] == found


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_key_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    for pair in (Minisign(), Cosign()):
        text = pair.public.decode().replace("\n", "\r\n")
        (tmp_path / "key").write_bytes(text.encode(encoding))

        assert load("key", tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"ssh-ed25519 AAAA", b"\xff" * 99, b"-----BEGIN PRIVATE KEY-----\nAAAA"],
)
def test_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"^--verify-signature key must be a file with one public key"
    ):
        load("key", tmp_path)


def test_unsuitable_key_is_refused_with_option_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(b"\x98\x33")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(
        ConfigError,
        match=r"^--verify-signature key is an OpenPGP key, .* gpgv",
    ):
        load("key", tmp_path)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, reason in (
        ("gone", r"cannot be read \(No such file or directory\)"),
        (".", "must be a file with a public key"),
        ("fifo", "must be a file with a public key"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=f"^--verify-signature {name} {reason}"):
            load(name, tmp_path)


def test_oversize_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(Minisign().public + b"\n" * keys.LIMIT)

    with pytest.raises(ConfigError, match="must not be larger than 1048576 bytes"):
        load("key", tmp_path)


def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(Minisign().public)
    module = "cryptography.hazmat.primitives.asymmetric.ed25519"
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(
        ImplementationUnavailable,
        match=r"^--verify-signature key needs .*pip install 'cryptography>=",
    ):
        load("key", tmp_path)


def settings(root: Path, *names: str, registry: str = "mem://app") -> Settings:
    return Settings(
        command="check",
        root=root,
        cache_dir=root,
        registry=registry,
        verify_signature=names,
    )


def test_every_unusable_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(Cosign().public)
    mistakes = Mistakes()
    found = load_all(settings(tmp_path, "a", "good", "b"), mistakes)

    assert 1 == len(found)
    assert ["a", "b"] == [str(each).split()[1] for each in mistakes.errors]


def test_images_take_keys_of_cosign_alone(tmp_path: Path) -> None:
    """Nobody is left to believe that others are verified."""
    for name, pair in (("m", Minisign()), ("c", Cosign()), ("e", CosignEd25519())):
        (tmp_path / name).write_bytes(pair.public)
    mistakes = Mistakes()
    images = settings(tmp_path, "m", "c", "e", registry="img://ghcr.io/acme/shop")
    found = load_all(images, mistakes)

    assert 2 == len(found)
    [told] = map(str, mistakes.errors)
    assert told.startswith("--verify-signature m must be a public key of cosign (PEM)")


async def test_key_files_are_read_at_each_use(tmp_path: Path) -> None:
    first, second = Cosign(), Minisign()
    (tmp_path / "key").write_bytes(first.public)
    trusted = of(settings(tmp_path, "key"))
    assert [".sig"] == [each.suffix for each in await trusted()]

    (tmp_path / "key").write_bytes(second.public)

    assert [".minisig"] == [each.suffix for each in await trusted()]


@pytest.mark.parametrize("content", [None, b"no key"])
async def test_key_file_that_is_spoiled_later_is_no_fault_of_a_release(
    tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "key").write_bytes(Cosign().public)
    trusted = of(settings(tmp_path, "key"))
    (tmp_path / "key").unlink()
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    with pytest.raises(DeploymentError, match=r"^--verify-signature key ") as caught:
        await trusted()

    assert caught.value.host
