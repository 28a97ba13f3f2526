"""Signatures of OpenPGP, verified by `gpgv`."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

from ...errors import ConfigError, DeploymentError

__all__ = ["PATIENCE", "OpenPGPKey", "read"]

PATIENCE = 60.0
"""Seconds that gpgv may take, and one more for each `PACE` bytes."""

PACE = 4 * 1024 * 1024

HASHES = {b"8", b"9", b"10", b"11", b"12", b"14"}
"""The numbers of SHA-2 and SHA-3 in RFC 9580, section 9.5; SHA-1 and MD5 are broken."""

BINARY = b"00"
"""Type of signature over the very bytes; one of text passes over line ends."""

ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n"
    rb"(?:[A-Za-z]+: [^\n]*\n)*[ \t]*\r?\n"
    rb"(?P<body>[A-Za-z0-9+/=\s]+?)(?:^=[A-Za-z0-9+/]{4}\s*)?"
    rb"-----END PGP PUBLIC KEY BLOCK-----",
    re.MULTILINE,
)
PUBLIC_KEY = (b"\x98", b"\x99", b"\x9a", b"\xc6")
"""First bytes of a public key (RFC 9580, section 4.2): old lengths, and the new."""

KEYBOX = b"KBXf"
"""Found behind eight bytes in a keyring as GnuPG keeps its own, `pubring.kbx`."""


@dataclass(frozen=True, slots=True)
class OpenPGPKey:
    """
    A keyring of OpenPGP.

    Attributes:
        keyring: The keys as `gpg --export` writes them.

        gpgv: The program that verifies.
    """

    suffix: ClassVar[str] = ".asc"

    keyring: bytes = field(repr=False)
    gpgv: str

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """Verify as `Key.verifies` does, by a process that sees only this keyring."""
        room = Path(await asyncio.to_thread(mkdtemp, dir=path.parent))
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
            words = await asyncio.to_thread(self._prepared, room, path, signature)
            return is_good(await _told(words, path.name, PATIENCE + size / PACE))
        finally:
            await asyncio.to_thread(shutil.rmtree, room, ignore_errors=True)

    def _prepared(self, room: Path, path: Path, signature: bytes) -> list[str]:
        keyring, signed = room / "keyring", room / "signature"
        keyring.write_bytes(self.keyring)
        signed.write_bytes(signature)
        own = ["--homedir", str(room), "--keyring", str(keyring), "--status-fd", "1"]
        return [self.gpgv, *own, str(signed), str(path)]


def read(content: bytes) -> OpenPGPKey | None:
    """
    Read a public key or a keyring, armored or not; None for something else.

    Raises:
        ConfigError: gpgv is not installed.
    """
    armored = ARMOR.search(content)
    keyring = _dearmored(content) if armored else content
    if not keyring.startswith(PUBLIC_KEY) and keyring[8:12] != KEYBOX:
        return None
    gpgv = shutil.which("gpgv")
    if gpgv is None:
        raise ConfigError(
            "is an OpenPGP key, which needs gpgv; install the package gpgv (Debian)"
        )
    return OpenPGPKey(keyring, gpgv)


def _dearmored(text: bytes) -> bytes:
    """Return the keys in all the blocks of *text*; b"" if one is damaged."""
    bodies = [b"".join(match["body"].split()) for match in ARMOR.finditer(text)]
    try:
        return b"".join(b64decode(body, validate=True) for body in bodies)
    except ValueError:
        return b""


def is_good(status: bytes) -> bool:
    """
    Return whether *status*, of gpgv, tells of a signature to rely on (pure).

    gpgv ends well for keys that are expired or revoked, and for signatures of text.
    """
    good = False
    for line in status.split(b"\n"):
        words = line.removeprefix(b"[GNUPG:] ").split(b" ")
        if words[0] in (b"NEWSIG", b"GOODSIG"):
            good = words[0] == b"GOODSIG"
        elif words[0] == b"VALIDSIG" and good and _is_over_bytes(words):
            return True
    return False


def _is_over_bytes(words: list[bytes]) -> bool:
    """Return whether a `VALIDSIG` tells of a safe hash over the very bytes."""
    return len(words) > 9 and words[8] in HASHES and words[9] == BINARY


async def _told(words: list[str], name: str, patience: float) -> bytes:
    """Return what gpgv said, whatever its exit status is."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"LC_ALL": "C"},
            start_new_session=True,
        )
        status = await _communicated(process, patience)
    except TimeoutError:
        reason = f"gpgv took longer than {patience:.0f} s"
    except OSError as exc:
        reason = f"{words[0]} cannot be run: {exc.strerror}"
    else:
        if (process.returncode or 0) >= 0:
            return status
        reason = f"gpgv was ended by signal {-(process.returncode or 0)}"
    raise DeploymentError(f"signature of {name} not verified: {reason}", host=True)


async def _communicated(process: Process, patience: float) -> bytes:
    try:
        async with asyncio.timeout(patience):
            status, _ = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return status
