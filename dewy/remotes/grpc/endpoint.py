"""The endpoint of a gRPC server: keys, authorities and proxy of its connection."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult

from yarl import URL

from ... import urls
from ...errors import ConfigError
from ..env_proxy import proxy_for

PORT = 443

OPTIONS: Mapping[str, str] = {"no-tls": "false", "ca": "", "cert": "", "key": ""}

_HASHED = re.compile(r"[0-9a-f]{8}\.\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keys:
    """The material of a TLS connection, in PEM; None for what there is not."""

    roots: bytes | None = None
    chain: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class GRPCTarget:
    """
    A server as its URL names it.

    Attributes:
        address: `HOST:PORT`, an IPv6 address in brackets.

        tls: True if the connection is encrypted, and the server has to prove its
            identity.

        ca: The file of authorities to trust, "" for the system's.

        cert, key: The files of a client certificate, "" for none.
    """

    address: str
    tls: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def of(cls, url: SplitResult, options: Mapping[str, str]) -> Self:
        """
        Raises:
            ConfigError: *url* names no server, or the *options* contradict each
                other.
        """
        where = urls.redact(url._replace(query="").geturl())
        if not url.hostname or "@" in url.netloc or url.path.strip("/"):
            raise ConfigError(f"{where} is not of the form grpc://HOST[:PORT]")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        tls = not urls.boolean("no-tls", options["no-tls"])
        given = [name for name in ("ca", "cert", "key") if options[name]]
        if given and not tls:
            raise ConfigError(f"{where}: {given[0]}= has no use with no-tls")
        if bool(options["cert"]) != bool(options["key"]):
            raise ConfigError(f"{where}: cert= and key= belong together")
        files = {name: options[name] for name in given}
        return cls(f"{host}:{url.port or PORT}", tls, **files)

    def __str__(self) -> str:
        return f"grpc://{self.address}"

    def validate(self) -> None:
        """
        Judge the files now; for a thread.

        Raises:
            ConfigError: a file cannot be read, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca:
            with _judged(self.ca, "holds no certificates in PEM form"):
                context.load_verify_locations(self.ca)
        if self.cert:
            what = "is no certificate in PEM form that fits the key of key="
            with _judged(self.cert, what):
                # Without a password it would be asked for at the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: "")

    def keys(self) -> Keys:
        """
        Read the files, which may have been renewed; for a thread.

        Raises:
            OSError: a file cannot be read any more.
        """
        if not self.tls:
            return Keys()
        roots = Path(self.ca).read_bytes() if self.ca else system_roots()
        if not self.cert:
            return Keys(roots)
        return Keys(roots, Path(self.cert).read_bytes(), Path(self.key).read_bytes())


def system_roots() -> bytes | None:
    """
    Return the authorities that this host trusts, in PEM; None where it names none.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` count, as for everything else of dewy.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return Path(paths.cafile).read_bytes()
    if not paths.capath:
        return None
    # Under the names by which OpenSSL finds them there.
    found = sorted(Path(paths.capath).iterdir())
    hashed = [path for path in found if _HASHED.fullmatch(path.name)]
    return b"\n".join(path.read_bytes() for path in hashed if path.is_file()) or None


class _judged:
    """
    The translation of errors in reading *file* into the ConfigError that names it.
    """

    def __init__(self, file: str, verdict: str) -> None:
        self._file = file
        self._verdict = verdict

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, _: object) -> None:
        if isinstance(exc, ssl.SSLError):
            raise ConfigError(f"{self._file} {self._verdict}") from None
        if isinstance(exc, OSError):
            raise ConfigError(f"{exc.filename or self._file}: {exc.strerror}") from exc


def proxy_of(address: str) -> URL | None:
    """Return the proxy for a server at *address*, `HOST:PORT`, if there is one."""
    return proxy_for(URL(f"https://{address}"))


def proxy_options(address: str) -> tuple[tuple[str, object], ...]:
    """Return the options of a channel to *address*; the core reads fewer variables."""
    if proxy := proxy_of(address):
        return (("grpc.http_proxy", str(proxy)),)
    return (("grpc.enable_http_proxy", 0),)
