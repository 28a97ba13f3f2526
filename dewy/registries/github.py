"""GitHub Releases as a registry: `ghr://OWNER/REPOSITORY`."""

from __future__ import annotations

import os
from dataclasses import replace
from urllib.parse import SplitResult, quote

from ..errors import NoRelease
from ..release import Deployment, Refusal, Release, is_audit_name
from ..remotes import Clients
from ..remotes.github import (
    Account,
    GitHub,
    GitHubAsset,
    GitHubRelease,
    Repository,
    connect,
)
from ..versions import Selection, Version
from .answers import AnswerNames
from .options import Options


class GitHubRegistry:
    """
    The releases of one repository; drafts do not count.

    GitHub's own pre-release mark is not looked at: the tag decides. Where the
    URL has no `artifact`, `GITHUB_ARTIFACT` names it. To be made outside the
    event loop or in a thread, because it may read a private key.

    Raises:
        ConfigError: the URL, its options or the credentials will not do.
    """

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        options = Options.read(url, selection)
        artifact = options.artifact or os.environ.get("GITHUB_ARTIFACT", "")
        self._options = replace(options, artifact=artifact)
        self._repository = Repository.named(url.netloc, url.path.strip("/"))
        self._account = Account.from_environment()
        self._clients = clients
        self._names = AnswerNames()

    def __repr__(self) -> str:
        return f"<GitHubRegistry {self._repository}>"

    async def current(self, tag: str | None = None) -> Release:
        """
        The newest release for this host, or the one called *tag*.

        Raises:
            NoRelease: there is none, or it has no artifact for this host;
                then `since` says when it was published.
            RemoteError: GitHub did not answer as it should.
        """
        listed = await self._published(await self._github(), tag)
        where = str(self._repository)
        version, passed = self._options.version(listed, where, tag)
        return self._release(listed[version.tag], version, passed)

    async def report(self, deployment: Deployment) -> None:
        """
        Add the audit record to the release as an asset.

        Raises:
            RemoteError: GitHub did not take it.
        """
        github = await self._github()
        release = await github.find(self._repository, deployment.release.tag)
        await github.upload(release, deployment.audit_name, deployment.audit_text)

    async def _github(self) -> GitHub:
        return await connect(self._clients, self._account)

    async def _published(
        self, github: GitHub, tag: str | None
    ) -> dict[str, GitHubRelease]:
        if tag is not None:
            one = await github.release(self._repository, tag)
            return {tag: one} if one else {}
        listed = await github.releases(self._repository)
        published = {release.tag: release for release in listed if not release.draft}
        if not published:
            raise NoRelease(f"{self._repository} has no published release")
        return published

    def _release(
        self, release: GitHubRelease, version: Version, passed: tuple[Refusal, ...]
    ) -> Release:
        names = [a.name for a in release.assets if not is_audit_name(a.name)]
        where = f"{self._repository} {release.tag}"
        file, beside = self._options.file(names, where, release.published_at)
        asset = _called(file, release)
        return Release(
            tag=release.tag,
            artifact_url=self._artifact_url(release.tag, file),
            identity=asset.identity,
            id=self._names.name(f"{release.tag} {asset.identity}"),
            size=asset.size,
            digest=asset.digest,
            created_at=release.published_at,
            slot=version.slot,
            files=tuple(name for name in names if name != file),
            refused=passed + beside,
        )

    def _artifact_url(self, tag: str, name: str) -> str:
        owner, repository = self._repository
        parts = [owner, repository, "tag", tag, name]
        return "ghr://" + "/".join(quote(part, safe="+") for part in parts)


def _called(name: str, release: GitHubRelease) -> GitHubAsset:
    return next(asset for asset in release.assets if asset.name == name)
