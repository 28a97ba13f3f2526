"""A gRPC server as a registry: `grpc://HOST[:PORT]` (remotes/grpc/registry.proto)."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import SplitResult

from .. import urls
from ..errors import ConfigError, NoRelease, NotYet, RemoteError
from ..release import Deployment, Release
from ..remotes import Clients
from ..remotes.grpc.client import connect
from ..remotes.grpc.endpoint import OPTIONS, GRPCTarget
from ..remotes.grpc.registry_pb2 import CurrentRequest, CurrentResponse, ReportRequest
from ..versions import VERSION, Selection, order, slot_of
from .candidates import Candidates, Options

log = logging.getLogger(__name__)

ALLOWED = {
    "artifact": "",
    "strip": "0",
    "calver": "",
    "constraint": "",
    "tag-prefix": "",
    "exclude": "",
    "host": "",
    "labels": "",
    **OPTIONS,
}

# A tag becomes part of keys and file names here, and is shown to people.
_PART = r"[0-9A-Za-z_][0-9A-Za-z_.+-]*"
_TAG = re.compile(rf"(?=.{{1,200}}\Z){_PART}(?:/{_PART})*", re.ASCII)


class GRPCRegistry:
    """
    A registry of one release, which the server chooses by platform and artifact name.

    Versions are neither listed nor compared: the release that the server names is
    deployed, even if it is older. Create it in a thread: it may read a private key.

    Raises:
        ConfigError: the URL, an option or a file that one names is invalid.
    """

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        self._options = Options.read(url, selection, ALLOWED)
        if VERSION in self._options.artifact:
            raise ConfigError(
                f"artifact={self._options.artifact} holds {VERSION}: the server of a "
                "gRPC registry chooses the file, so give a plain name"
            )
        chosen = urls.options(url, ALLOWED)
        self._host, self._labels = chosen["host"], _labels(chosen["labels"])
        self._endpoint = GRPCTarget.of(url, chosen)
        if self._endpoint.tls:
            self._endpoint.validate()
        self._clients = clients
        self._names = Names(str(self._endpoint))

    def __repr__(self) -> str:
        return f"<GRPCRegistry {self._endpoint}>"

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the release that the server names.

        Raises:
            NoRelease: the server names no release, or another than *tag*.
            NotYet: the server names a release for another slot, or one that the
                options exclude.
            RemoteError: the request failed, or the answer is invalid.
        """
        client = await connect(self._clients, self._endpoint)
        answer = await client.current(self._request())
        release = self._release(answer)
        if tag not in (None, release.tag):
            raise NoRelease(
                f"{self._endpoint} names {release.tag}; a gRPC registry offers no "
                f"other release, so {tag} cannot be deployed"
            )
        self._require_allowed(release)
        return release

    async def candidates(self) -> Candidates:
        """Return the release of `current` as the only candidate."""
        return Candidates.only(str(self._endpoint), await self.current())

    def _require_allowed(self, release: Release) -> None:
        rules = self._options.rules
        wanted = rules.slot
        if wanted not in ("", release.slot):
            slot = f"slot {release.slot}" if release.slot else "no slot"
            raise NotYet(f"{release.tag} is for {slot}, not {wanted}")
        if rules.constraint or rules.prefix or rules.exclude:
            free = replace(rules, pre_release=True, slot="")
            if refused := order([release.tag], free).refused:
                where = self._endpoint
                raise NotYet(f"{where} names {release.tag}: {refused[0].reason}")

    async def report(self, deployment: Deployment) -> None:
        """
        Report a successful deployment to the server.

        Raises:
            RemoteError: the request failed.
        """
        client = await connect(self._clients, self._endpoint)
        release = deployment.release
        await client.report(
            ReportRequest(id=release.id, tag=release.tag, command=deployment.command)
        )

    def _request(self) -> CurrentRequest:
        platform = self._options.selection.platform
        # A field that is None is left out of the message.
        return CurrentRequest(
            arch=platform.arch,
            os=platform.os,
            labels=self._labels,
            host=self._host or None,
            arifact_name=self._options.artifact or None,
        )

    def _release(self, answer: CurrentResponse) -> Release:
        if not (answer.tag or answer.artifact_url):
            raise NoRelease(f"{self._endpoint} names no release for this host")
        if not _TAG.fullmatch(answer.tag):
            raise RemoteError(
                f"{self._endpoint} names a version {answer.tag[:40]!r}: allowed are "
                "letters, digits and . _ + -, in parts separated by /"
            )
        if not re.match(r"[a-z][a-z0-9+.-]*://.", answer.artifact_url):
            raise RemoteError(
                f"{self._endpoint} names no URL as the artifact of {answer.tag}"
            )
        return Release(
            tag=answer.tag,
            artifact_url=answer.artifact_url,
            identity=self._names.identity(answer),
            id=answer.id,
            created_at=self._created_at(answer),
            files=None,
            slot=slot_of(answer.tag, self._options.rules.calver),
        )

    def _created_at(self, answer: CurrentResponse) -> datetime | None:
        if not answer.HasField("created_at"):
            return None
        try:
            return answer.created_at.ToDatetime(UTC)
        except ValueError:
            raise RemoteError(
                f"{self._endpoint} names an impossible time for {answer.tag}"
            ) from None


def _labels(text: str) -> dict[str, str]:
    """Parse the value of the option `labels`: `KEY:VALUE,…`."""
    labels: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        key, colon, value = (part.strip() for part in pair.partition(":"))
        if not (key and colon) or key in labels:
            raise ConfigError(
                f"labels={text} is not of the form KEY:VALUE,KEY:VALUE with a "
                "different key in each"
            )
        labels[key] = value
    return labels


class Names:
    """
    Identities of the releases in a server's answers.

    A new id means that the artifact was replaced under its tag. But some servers make
    up an id for each answer, which would have dewy deploy forever: so a new id counts
    only once the next answer repeats it.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._release = ("", "")
        self._id = ""
        self._unconfirmed: str | None = None
        self._warned = False

    def identity(self, answer: CurrentResponse) -> str:
        """Return the identity of the release in *answer*; differs for another one."""
        # The query may hold a signature, new in every answer.
        release = (answer.tag, answer.artifact_url.partition("?")[0])
        if release != self._release or answer.id == self._unconfirmed:
            self._release, self._id, self._unconfirmed = release, answer.id, None
        elif answer.id != self._id:
            self._await_repetition(answer.id)
        else:
            self._unconfirmed = None
        named = "\0".join((self._id, *release)).encode()
        return f"grpc:{hashlib.sha256(named).hexdigest()}"

    def _await_repetition(self, id: str) -> None:
        if self._unconfirmed is not None and not self._warned:
            self._warned = True
            log.warning(
                "Registry gives the same release a new id in each answer",
                extra={"registry": self._where},
            )
        self._unconfirmed = id
