"""Public keys, told apart by the content of their files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from ...config import Settings
from ...errors import (
    ConfigError,
    DeploymentError,
    ImplementationUnavailable,
    Mistakes,
    install_hint,
)
from ...ioprocess import brief
from . import Key, Keys, cosign, minisign, openpgp
from .verification import unmarked

__all__ = ["LIMIT", "load", "load_all", "of"]

LIMIT = 1024 * 1024
"""Bytes that a key file may have."""

Reader = Callable[[bytes], Key | None]

READERS: tuple[Reader, ...] = (
    minisign.read,
    cosign.read,
    openpgp.read,
)


def load(name: str, root: Path) -> Key:
    """
    Read the public key in the file *name*, relative to *root*.

    Raises:
        ConfigError: the file cannot be read, holds no public key of a known kind, or
            one that needs a program which is not installed.
        ImplementationUnavailable: the extra `signatures` is not installed.
    """
    option = f"--verify-signature {name}"
    return _parsed(_content(root / name, option), option)


def of(settings: Settings) -> Keys:
    """Return the keys that *settings* name, whose files are read at each call."""

    async def read() -> Sequence[Key]:
        try:
            return [await _read(name, settings) for name in settings.verify_signature]
        except (ConfigError, OSError) as exc:
            # As it was good at the start, the release is not to blame.
            raise DeploymentError(str(exc), host=True) from exc

    return read


async def _read(name: str, settings: Settings) -> Key:
    option, path = f"--verify-signature {name}", settings.root / name
    content = await brief.look(path.parent, _content, path, option)
    return _fit(await asyncio.to_thread(_parsed, content, option), option, settings)


def _fit(key: Key, option: str, settings: Settings) -> Key:
    if settings.images and not isinstance(key, cosign.PEMKey):
        raise ConfigError(
            f"{option} must be a public key of cosign (PEM): "
            "images are signed with no others"
        )
    return key


def _parsed(content: bytes, option: str) -> Key:
    found: Key | None = None
    try:
        for read in READERS:
            found = found or read(content)
    except ModuleNotFoundError as exc:
        raise ImplementationUnavailable(
            f"{option} needs {exc.name}; {install_hint('signatures')}"
        ) from exc
    except ConfigError as exc:
        raise ConfigError(f"{option} {exc}") from None
    if found is None:
        raise ConfigError(
            f"{option} must be a file with one public key of minisign, of cosign "
            "(PEM, ECDSA P-256 or ed25519) or of OpenPGP (gpg --export)"
        )
    return found


def load_all(settings: Settings, mistakes: Mistakes) -> tuple[Key, ...]:
    """Read the public keys that *settings* name; collect what is wrong with others."""
    found = []
    for name in settings.verify_signature:
        with mistakes.caught():
            key = load(name, settings.root)
            found.append(_fit(key, f"--verify-signature {name}", settings))
    return tuple(found)


def _content(path: Path, option: str) -> bytes:
    try:
        # Opening a FIFO would wait for somebody to write.
        if path.exists() and not path.is_file():
            raise ConfigError(f"{option} must be a file with a public key")
        with open(path, "rb") as file:
            content = file.read(LIMIT + 1)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "no such name"
        raise ConfigError(
            f"{option} cannot be read ({reason}); it must be a file with a public key"
        ) from exc
    if len(content) > LIMIT:
        raise ConfigError(f"{option} must not be larger than {LIMIT} bytes")
    return unmarked(content)
