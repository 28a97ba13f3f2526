"""Certificates of the connection to an engine, read again where it fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ...errors import ConfigError, RemoteError
from ...remotes.authorities import Context
from ...remotes.vendor_files import require_answers

__all__ = ["Certificates"]

NAMES = ("ca", "cert", "key")


class Certificates:
    """
    The files in `DOCKER_CERT_PATH`, as Docker's own client takes them.

    Others may renew them, so that they are read again when a call fails.

    Attributes:
        context: For connections; of use after `read`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("HOME", "")
        self._directory = environ.get("DOCKER_CERT_PATH") or f"{home}/.docker"
        self.context = Context(ssl.PROTOCOL_TLS_CLIENT)

    async def read(self) -> None:
        """
        Read them.

        Raises:
            ConfigError: they cannot be used.
        """
        self.context.current = await asyncio.to_thread(self._load)

    async def read_again(self) -> None:
        """Read them for the next call; what hangs or is of no use is passed over."""
        with suppress(ConfigError, RemoteError):
            await require_answers(self._paths)
            await self.read()

    @property
    def _paths(self) -> list[Path]:
        return [Path(self._directory).absolute() / f"{name}.pem" for name in NAMES]

    def _load(self) -> ssl.SSLContext:
        ca, certificate, key = self._paths
        try:
            context = ssl.create_default_context(cafile=ca if ca.exists() else None)
            if certificate.exists():
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(
                f"DOCKER_CERT_PATH: {self._directory} holds no usable keys"
            ) from exc
        return context
