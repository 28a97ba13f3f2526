"""The connection to an engine, with deadlines for calls and dewy's own errors."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiodocker
import aiohttp

from ...errors import ConfigError, EngineError, RemoteError
from ...remotes.authorities import Context
from ...remotes.vendor_files import require_answers
from .errors import UNREACHABLE, gone, kind, one_line
from .opening import EngineAddress, EngineDeadlines

__all__ = [
    "Certificates",
]

# Exceptions raised when an answer cannot be parsed.
GARBAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)


class EngineClient:
    """
    Client of an engine's API.

    Attributes:
        title: `Docker` or `Podman`, as messages name it.

        docker: The aiodocker client; its calls belong inside `asking`.

        libpod: The root of Podman's own API; "" where there is none.
    """

    def __init__(
        self,
        docker: aiodocker.Docker,
        place: EngineAddress,
        title: str,
        deadlines: EngineDeadlines,
        certificates: Certificates | None = None,
    ) -> None:
        self.docker = docker
        self.place = place
        self.title = title
        self.deadlines = deadlines
        self.libpod = ""
        self._certificates = certificates

    def __repr__(self) -> str:
        return f"<Wire to {self.title} at {self.place.shown}>"

    @asynccontextmanager
    async def asking(
        self,
        doing: str,
        seconds: float | None = None,
        *,
        secrets: Iterable[str] = (),
        pulling: bool = False,
    ) -> AsyncIterator[asyncio.Timeout]:
        """
        Limit the calls inside to *seconds* and translate their errors.

        Args:
            doing: Description of the call, safe to show.

            secrets: Texts to strike out should the engine quote them.

        Raises:
            EngineError: the engine refused, hung or sent an invalid answer.
        """
        limit = self.deadlines.look if seconds is None else seconds
        try:
            async with asyncio.timeout(limit) as timer:
                yield timer
        except TimeoutError as exc:
            raise self._error(doing, f"no answer for {limit:g} s") from exc
        except aiodocker.DockerError as exc:
            if exc.status == UNREACHABLE:
                await self._renew()
            # The cause is shown in tracebacks, so it keeps no secret either.
            text = one_line(str(exc.message), secrets)
            clean = aiodocker.DockerError(exc.status, text)
            raise self._refused(doing, clean, pulling) from clean
        except aiohttp.ClientSSLError as exc:
            await self._renew()
            reason = f"{self.place.shown} is not trusted; see DOCKER_CERT_PATH"
            raise self._error(doing, reason) from exc
        except GARBAGE as exc:
            raise self._error(doing, "its answer makes no sense") from exc
        except (aiohttp.ClientError, OSError) as exc:
            await self._renew()
            raise self._error(doing, f"{self.place.shown} hung up") from exc

    async def _renew(self) -> None:
        """Read the certificates again, which may be why there is no connection."""
        if self._certificates:
            await self._certificates.read_again()

    def _error(self, doing: str, reason: str) -> EngineError:
        return EngineError(f"{self.title} could not {doing}: {reason}")

    def _refused(
        self,
        doing: str,
        exc: aiodocker.DockerError,
        pulling: bool,
    ) -> EngineError:
        if exc.status == UNREACHABLE:
            return self._error(doing, f"no connection to {self.place.shown}")
        error = kind(exc.status, exc.message, pulling=pulling)
        return error(f"{self.title} could not {doing}: {exc.message or exc.status}")

    async def containers(
        self, labels: Sequence[str] = ()
    ) -> list[aiodocker.docker.DockerContainer]:
        """
        Return all containers, running or not, with *labels*: `KEY` or `KEY=VALUE`.

        Raises:
            EngineError: the engine does not answer.
        """
        filters = json.dumps({"label": list(labels)} if labels else {})
        async with self.asking("list containers"):
            while True:
                try:
                    return await self.docker.containers.list(all=True, filters=filters)
                except aiodocker.DockerError as exc:
                    # Podman gives up when one goes while it makes the list.
                    if exc.status == 404 or not gone(exc.status, exc.message):
                        raise

    def url(self, path: str, root: str = "") -> str:
        """Return the URL of an endpoint that the client has no method for."""
        return f"{self.docker.docker_host}/{root or self.docker.api_version}/{path}"

    async def json(self, path: str, root: str) -> tuple[int, Any]:
        """Return status and content of a GET that the client has no method for."""
        async with self.docker.session.get(self.url(path, root)) as answer:
            return answer.status, await answer.json(content_type=None)

    def agree(self, headers: Mapping[str, str]) -> None:
        """Talk from now on as the engine does that answered a ping with *headers*."""
        self.docker.api_version = f"v{float(headers['Api-Version']):.2f}"
        version = headers.get("Libpod-Api-Version", "")
        self.libpod = f"v{version}/libpod" if version else ""

    async def ping(self) -> Mapping[str, str]:
        """
        Ping the engine and return the headers in which it identifies itself.

        Raises:
            EngineError: the engine does not answer.
        """
        url = f"{self.docker.docker_host}/_ping"
        async with (
            self.asking("answer a ping", self.deadlines.hello),
            self.docker.session.get(url) as answer,
        ):
            await answer.read()
            answer.raise_for_status()
            return answer.headers


@asynccontextmanager
async def connected(
    place: EngineAddress,
    title: str,
    environ: Mapping[str, str],
    deadlines: EngineDeadlines,
) -> AsyncIterator[EngineClient]:
    """
    Return a client of the engine at *place*; no call is made yet.

    Each call has a connection of its own: a connection kept open would turn out dead
    after a restart of the engine, in a call that cannot be repeated.
    """
    certificates = await _certificates(place, environ)
    host, connector = _connector(place, certificates)
    # Deadlines are ours: the client's would count the time of its other calls.
    docker = aiodocker.Docker(url=host, connector=connector)
    try:
        yield EngineClient(docker, place, title, deadlines, certificates)
    finally:
        await docker.close()
        await connector.close()


async def _certificates(
    place: EngineAddress, environ: Mapping[str, str]
) -> Certificates | None:
    secure = place.url.startswith("https:") or environ.get("DOCKER_TLS_VERIFY")
    if place.path or not secure:
        return None
    certificates = Certificates(environ)
    await certificates.read()
    return certificates


def _connector(
    place: EngineAddress, certificates: Certificates | None
) -> tuple[str, aiohttp.BaseConnector]:
    if place.path:
        return "http://engine", aiohttp.UnixConnector(
            place.path, force_close=True, limit=0
        )
    host = urlsplit(place.url).netloc
    scheme = "https" if certificates else "http"
    return f"{scheme}://{host}", aiohttp.TCPConnector(
        ssl=certificates.context if certificates else True,
        force_close=True,
        limit=0,
    )


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
        await self.context.read(self._load)

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
