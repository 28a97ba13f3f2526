"""The address of a gRPC server, and the keys, authorities and proxy for it."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult

from yarl import URL

from ... import urls
from ...errors import ConfigError
from ...ioprocess import brief
from ..env_proxy import proxy_for

PORT = 443

OPTIONS: Mapping[str, str] = {"no-tls": "false", "ca": "", "cert": "", "key": ""}

_HASHED = re.compile(r"[0-9a-f]{8}\.\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keys:
    """Authorities, certificate chain and key of a TLS connection, in PEM, or None."""

    roots: bytes | None = None
    chain: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class GRPCTarget:
    """
    A gRPC server as a URL names it.

    Attributes:
        address: `HOST:PORT`, with an IPv6 address in brackets.

        tls: Whether the connection is encrypted and the server authenticated.

        ca: File of the authorities to trust, "" for this host's.

        cert, key: Files of a client certificate and its key, "" for none.
    """

    address: str
    tls: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def of(cls, url: SplitResult, options: Mapping[str, str]) -> Self:
        """
        Return the target in *url* with its *options*.

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
        Check the files; this blocks.

        Raises:
            ConfigError: a file cannot be read, or is not of its kind.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca:
            with _config_errors(self.ca, "holds no certificates in PEM form"):
                context.load_verify_locations(self.ca)
        if self.cert:
            problem = "is no certificate in PEM form that fits the key of key="
            with _config_errors(self.cert, problem):
                # Without a password OpenSSL would ask for it at the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: "")

    async def keys(self) -> Keys:
        """
        Read the files, which may have changed since `validate`.

        Raises:
            OSError: a file cannot be read, or not in time.
        """
        if not self.tls:
            return Keys()
        roots = await _content(self.ca) if self.ca else await _system_roots()
        if not self.cert:
            return Keys(roots)
        return Keys(roots, await _content(self.cert), await _content(self.key))


def _content(file: str) -> Awaitable[bytes]:
    path = Path(file).absolute()
    return brief.look(path.parent, Path.read_bytes, path)


def _system_roots() -> Awaitable[bytes | None]:
    stated = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "/"
    return brief.look(Path(stated).absolute(), system_roots)


def system_roots() -> bytes | None:
    """
    Return the authorities that this host trusts, in PEM; None if it has none.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` take precedence, as elsewhere in dewy.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return Path(paths.cafile).read_bytes()
    if not paths.capath:
        return None
    # Only those with the names by which OpenSSL finds them.
    found = sorted(Path(paths.capath).iterdir())
    hashed = [path for path in found if _HASHED.fullmatch(path.name)]
    return b"\n".join(path.read_bytes() for path in hashed if path.is_file()) or None


@contextmanager
def _config_errors(file: str, problem: str) -> Iterator[None]:
    """Turn errors in reading *file* into ConfigError; *problem* is that of OpenSSL."""
    try:
        yield
    except ssl.SSLError:
        raise ConfigError(f"{file} {problem}") from None
    except OSError as exc:
        raise ConfigError(f"{exc.filename or file}: {exc.strerror}") from exc


def proxy_of(address: str) -> URL | None:
    """Return the proxy for a server at *address*, `HOST:PORT`; None for none."""
    return proxy_for(URL(f"https://{address}"))


def proxy_options(address: str) -> tuple[tuple[str, object], ...]:
    """Return the proxy options of a channel to *address*."""
    # Without these the C core would follow fewer variables than dewy does.
    if proxy := proxy_of(address):
        return (("grpc.http_proxy", str(proxy)),)
    return (("grpc.enable_http_proxy", 0),)
