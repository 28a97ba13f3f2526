"""Verification of detached signatures: minisign, cosign and OpenPGP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

__all__ = ["Key", "Keys"]


class Key(Protocol):
    """
    A public key that the operator trusts.

    Attributes:
        suffix: The ending of the names of signatures by keys of this kind.
    """

    suffix: ClassVar[str]

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """
        Return whether *signature* is one by this key over the bytes of *path*.

        *signature* is the content of a signature file, whatever it holds.

        Raises:
            SignatureError: a file as large as *path* must be signed otherwise.
            DeploymentError: this host could not find out.
            OSError: *path* cannot be read.
        """
        ...


Keys = Callable[[], Awaitable[Sequence[Key]]]
"""
The keys of which one must have signed, as they are now.

Raises:
    DeploymentError: they cannot be read; this host is to blame.
"""
