"""A real docker-registry on loopback, with a directory of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

NAME, PASSWORD = "dewy", "opensesame"
# bcrypt of PASSWORD, at the least cost there is.
LINE = "dewy:$2b$04$NVD28rwxEoFmOwYAAnhlSe0qqz3U/XBL1s/KXzFJQG2vZ/X26fRSS\n"
PATIENCE = 30.0


class RegistryServer:
    """
    `docker-registry` on an ephemeral port.

    Args:
        directory: For its configuration, its log and its blobs.

        private: It wants NAME and PASSWORD.

    Attributes:
        host: `127.0.0.1:PORT`, as references to its images begin.
    """

    def __init__(self, directory: Path, *, private: bool = False) -> None:
        self.directory = directory
        self.private = private
        self.host = ""
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def credentials(self) -> tuple[str, str] | None:
        """What it wants to be shown."""
        return (NAME, PASSWORD) if self.private else None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        # The port is free when it is chosen; should another take it, once more.
        for _ in range(5):
            if self._start(free_port()):
                return self
            self.__exit__()
        raise RuntimeError(f"docker-registry did not start: {self._log.read_text()}")

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE)
            self._server = None

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _start(self, port: int) -> bool:
        self.host = f"127.0.0.1:{port}"
        file = self.directory / "config.yml"
        # JSON is YAML as well.
        file.write_text(json.dumps(self._configuration()), encoding="utf-8")
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                ["docker-registry", "serve", file], stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._server.poll() is None:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).close()
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code == 401
        except OSError:
            return False
        return True

    def _configuration(self) -> dict[str, object]:
        made: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "cache": {"blobdescriptor": "inmemory"},
                "filesystem": {"rootdirectory": str(self.directory / "blobs")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host},
        }
        if self.private:
            accounts = self.directory / "htpasswd"
            accounts.write_text(LINE, encoding="utf-8")
            made["auth"] = {"htpasswd": {"realm": "dewy", "path": str(accounts)}}
        return made


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
