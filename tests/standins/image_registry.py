"""A real image registry on loopback: Debian's docker-registry, as a process."""

from __future__ import annotations

import asyncio
import json
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, Self

import bcrypt

from tests.standins.image_tokens import (
    ISSUER,
    PASSWORD,
    SERVICE,
    USER,
    TokenServer,
    basic,
)
from tests.standins.pushed_images import Pusher

PATIENCE = 60.0
LISTENS = re.compile(rb"listening on (?:127\.0\.0\.1|\[::1\]):(\d+)")


class ImageRegistryServer:
    """
    `docker-registry serve`, in a directory of its own.

    Args:
        tokens: Who gives out the tokens it wants.

        password: It wants `USER` and `PASSWORD`.

        tls: Certificate and key, in files.

    Attributes:
        host: `127.0.0.1:PORT`, or `localhost:PORT` with TLS.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tokens: TokenServer | None = None,
        password: bool = False,
        tls: tuple[Path, Path] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._password = password
        self._tls = tls
        self._address = address
        self._process: Process | None = None
        self._log: asyncio.Task[None] | None = None
        self.host = ""

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        config = self._directory / "config.yml"
        config.write_text(json.dumps(self._config()))
        self._process = await asyncio.create_subprocess_exec(
            "docker-registry", "serve", config, stdout=DEVNULL, stderr=PIPE
        )
        port = await asyncio.wait_for(self._port(), PATIENCE)
        self._log = asyncio.create_task(self._read(), name="registry's log")
        name = "localhost" if self._tls else self._address
        self.host = f"{name}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End it; what was pushed is still on disk."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._log:
            await self._log

    def pusher(self, repository: str = "app") -> Pusher:
        """May push to *repository*."""
        if self._tokens:
            scope = f"repository:{repository}:pull,push"
            header = f"Bearer {self._tokens.token(scope)}"
        elif self._password:
            header = basic(USER, PASSWORD)
        else:
            return Pusher(f"http://{self.host}")
        return Pusher(f"http://{self.host}", {"Authorization": header})

    async def _port(self) -> int:
        assert self._process is not None
        assert self._process.stderr is not None
        said = b""
        async for line in self._process.stderr:
            said += line
            if found := LISTENS.search(line):
                return int(found[1])
        raise AssertionError(f"docker-registry ended: {said.decode()}")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for _ in self._process.stderr:
            pass

    def _config(self) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": f"{self._address}:0", "secret": "s"}
        if self._tls:
            certificate, key = self._tls
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        config = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._directory / "storage")},
                "delete": {"enabled": True},
            },
            "http": http,
        }
        if auth := self._auth():
            config["auth"] = auth
        return config

    def _auth(self) -> dict[str, Any]:
        if self._tokens:
            bundle = self._directory / "issuer.pem"
            self._tokens.write_certificate(bundle)
            token = {
                "realm": self._tokens.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(bundle),
            }
            return {"token": token}
        if self._password:
            known = self._directory / "htpasswd"
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
            known.write_text(f"{USER}:{hashed}\n")
            return {"htpasswd": {"realm": "here", "path": str(known)}}
        return {}
