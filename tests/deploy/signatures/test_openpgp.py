from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from dewy.deploy.signatures import openpgp
from dewy.deploy.signatures.openpgp import OpenPGPKey, is_good
from dewy.errors import ConfigError, DeploymentError
from tests.deploy.signatures.conftest import Making
from tests.deploy.signatures.signing import CONTENT
from tests.eventually import eventually

FINGERPRINT = b"986F35B86EF9BD00171008580285B0ADBBD37320"
GOOD = b"[GNUPG:] GOODSIG 0285B0ADBBD37320 maker@example.org"
VALID = b"[GNUPG:] VALIDSIG %s 2026-11-30 1796026488 0 4 0 22 8 00 %s" % (
    (FINGERPRINT,) * 2
)


def read(content: bytes) -> OpenPGPKey:
    key = openpgp.read(content)
    assert key is not None
    return key


def verified(content: bytes, artifact: Path, signature: bytes) -> bool:
    """Whether a key in the file *content* verifies *signature*."""
    return asyncio.run(read(content).verifies(artifact, signature))


def test_signature_by_the_key_verifies(artifact: Path, gnupg: Making) -> None:
    """Armored or not, with others in the keyring, and as gpg keeps its own."""
    pair, other = gnupg(), gnupg()
    signature = pair.sign(CONTENT)

    for content in (
        pair.public,
        pair.binary,
        other.binary + pair.binary,
        b"Our key:\n\n" + other.public + b"\n" + pair.public,
        (pair.home / "pubring.kbx").read_bytes(),
    ):
        assert verified(content, artifact, signature)
    assert ["app.tar.gz", "gnupg0", "gnupg1"] == sorted(os.listdir(artifact.parent))


def test_signature_over_other_bytes_does_not_verify(
    artifact: Path, gnupg: Making
) -> None:
    pair = gnupg()
    signature = pair.sign(CONTENT + b".")

    assert not verified(pair.public, artifact, signature)


def test_signature_by_another_key_does_not_verify(
    artifact: Path, gnupg: Making
) -> None:
    pair, other = gnupg(), gnupg()
    signature = other.sign(CONTENT)

    assert not verified(pair.public, artifact, signature)


def test_file_with_two_signatures_verifies_with_either_key(
    artifact: Path, gnupg: Making
) -> None:
    pair, other = gnupg(), gnupg()
    other.run("--import", input=pair.run("--export-secret-keys"))
    users = [word for key in (pair, other) for word in ("--local-user", of(key.public))]
    signature = other.sign(CONTENT, *users)

    assert verified(pair.public, artifact, signature)
    assert verified(other.public, artifact, signature)


def of(public: bytes) -> str:
    """The fingerprint of the first key in *public*."""
    done = subprocess.run(
        ["gpg", "--batch", "--with-colons", "--show-keys"],
        input=public,
        capture_output=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.decode().splitlines()
    return next(line.split(":")[9] for line in lines if line.startswith("fpr"))


def test_signature_by_expired_key_does_not_verify(
    artifact: Path, gnupg: Making
) -> None:
    """gpgv itself ends with 0."""
    made, signed = (("--faked-system-time", f"2020010{day}T000000") for day in (1, 2))
    pair = gnupg(*made, expires="2020-02-01")
    # A day later: the clock goes on from there while the key is being made.
    signature = pair.sign(CONTENT, *signed)

    assert not verified(pair.public, artifact, signature)


def test_signature_of_text_does_not_verify(artifact: Path, gnupg: Making) -> None:
    """Line ends could be altered under it."""
    pair = gnupg()
    signature = pair.sign(CONTENT, "--textmode")

    assert not verified(pair.public, artifact, signature)


def test_signature_over_broken_hash_does_not_verify(
    artifact: Path, gnupg: Making
) -> None:
    pair = gnupg()
    signature = pair.sign(CONTENT, "--digest-algo", "SHA1")

    assert not verified(pair.public, artifact, signature)


def test_anything_else_does_not_verify(artifact: Path, gnupg: Making) -> None:
    pair = gnupg()
    inline = pair.run("--armor", "--sign", input=CONTENT)
    clear = pair.run("--clearsign", input=CONTENT)

    for signature in (b"", b"\xff", pair.public, inline, clear):
        assert not verified(pair.public, artifact, signature)


async def test_gpgv_that_hangs_is_ended_and_is_no_verdict(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openpgp, "PATIENCE", 0.1)
    key = OpenPGPKey(b"", script(tmp_path, "exec sleep 600"))

    with pytest.raises(DeploymentError, match="gpgv took longer than 0 s") as caught:
        await key.verifies(artifact, b"")
    assert caught.value.host


@pytest.mark.parametrize(
    ("text", "reason"),
    [("kill -9 $$", "ended by signal 9"), ("", "cannot be run: No such file")],
)
async def test_gpgv_that_cannot_do_its_part_is_no_verdict(
    artifact: Path, tmp_path: Path, text: str, reason: str
) -> None:
    gpgv = script(tmp_path, text) if text else str(tmp_path / "gone")

    with pytest.raises(DeploymentError, match=reason) as caught:
        await OpenPGPKey(b"", gpgv).verifies(artifact, b"")
    assert caught.value.host


async def test_cancelled_verification_ends_gpgv(artifact: Path, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    gpgv = script(tmp_path, f"echo $$ >{mark}~; mv {mark}~ {mark}; exec sleep 600")
    task = asyncio.create_task(OpenPGPKey(b"", gpgv).verifies(artifact, b""))
    await eventually(lambda: asyncio.to_thread(mark.exists))
    pid = int(await asyncio.to_thread(mark.read_text))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def script(directory: Path, text: str) -> str:
    path = directory / "gpgv"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_status_is_good_only_for_signature_to_rely_on() -> None:
    new = b"[GNUPG:] NEWSIG"
    expired = GOOD.replace(b"GOODSIG", b"EXPKEYSIG")
    bad = GOOD.replace(b"GOODSIG", b"BADSIG")

    assert is_good(b"\n".join([new, GOOD, VALID]))
    assert is_good(b"\n".join([new, bad, new, GOOD, VALID]))
    for lines in (
        [],
        [new, GOOD],
        [new, VALID],
        [new, expired, VALID],
        [new, GOOD, new, expired, VALID],
        [new, GOOD, VALID.replace(b" 8 00 ", b" 2 00 ")],
        [new, GOOD, VALID.replace(b" 8 00 ", b" 8 01 ")],
        [new, GOOD, b"[GNUPG:] VALIDSIG"],
    ):
        assert not is_good(b"\n".join(lines))


def test_key_without_gpgv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigError, match=r"needs gpgv; install the package gpgv"):
        openpgp.read(b"\x98\x33")


def test_anything_else_is_no_key() -> None:
    block = b"-----BEGIN PGP %s BLOCK-----\n\n%s\n-----END PGP %s BLOCK-----\n"

    for content in (
        b"",
        b"\x94\x58",  # a secret key
        block % (b"PRIVATE KEY", b"mDMEaw0w", b"PRIVATE KEY"),
        block % (b"PUBLIC KEY", b"lFgEaw0w", b"PUBLIC KEY"),
        block % (b"PUBLIC KEY", b"mDMEaw0", b"PUBLIC KEY"),
        (block % (b"PUBLIC KEY", b"mDMEaw0w", b"PUBLIC KEY"))[:60],
    ):
        assert openpgp.read(content) is None
