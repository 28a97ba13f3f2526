"""GitHub Releases as a registry: `ghr://OWNER/REPOSITORY`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import SplitResult, quote

from ..errors import Ambiguous, NoRelease, RemoteError
from ..release import Deployment, Release, is_audit_name
from ..remotes import Clients
from ..remotes.github import (
    Anonymous,
    GitHub,
    GitHubAccount,
    GitHubAsset,
    GitHubRelease,
    Repository,
    connect,
)
from ..versions import Selection, Version
from .candidates import AnswerNames, Candidates, Options, newest


class GitHubRegistry:
    """
    A registry of the releases of a repository, except for drafts.

    The tag decides what is a pre-release, not GitHub's own mark. The option `artifact`
    defaults to `GITHUB_ARTIFACT`. Create it in a thread: it may read a private key.

    Raises:
        ConfigError: the URL, an option or the credentials are invalid.
    """

    def __init__(
        self, url: SplitResult, selection: Selection, clients: Clients
    ) -> None:
        options = Options.read(url, selection)
        artifact = options.artifact or os.environ.get("GITHUB_ARTIFACT", "")
        self._options = replace(options, artifact=artifact)
        self._repository = Repository.named(url.netloc, url.path.strip("/"))
        self._account = GitHubAccount.from_environment()
        self._clients = clients
        self._names = AnswerNames()

    def __repr__(self) -> str:
        return f"<GitHubRegistry {self._repository}>"

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the newest release for this host, or the one called *tag*.

        Raises:
            NoRelease: the release does not exist, or has no artifact for this host;
                then `since` is when it was published.
            RemoteError: the request to GitHub failed.
        """
        if tag is None:
            return await newest(await self.candidates())
        found = await (await self._github()).release(self._repository, tag)
        names = [tag] if found else []
        version = self._options.named(names, str(self._repository), tag)
        assert found is not None
        return self._release(found, version)

    async def candidates(self) -> Candidates:
        """
        Return the releases, newest version first; their details cost nothing.

        Raises:
            NoRelease: the repository has no published release.
            RemoteError: the request to GitHub failed.
        """
        github = await self._github()
        listed = await github.releases(self._repository)
        published = {release.tag: release for release in listed if not release.draft}
        if not published:
            raise NoRelease(f"{self._repository} has no published release")

        async def details(version: Version) -> Release:
            return self._release(published[version.tag], version)

        candidates = self._options.candidates(
            published, str(self._repository), details, costly=False
        )
        # A release missing from a partial list is not thereby withdrawn.
        complete = github.lists_all(self._repository)
        return replace(candidates, complete=complete)

    def arrange(self, names: Iterable[str]) -> Candidates:
        """Return the candidates among *names*; details cost a request each."""

        async def details(version: Version) -> Release:
            return await self.current(version.tag)

        return self._options.candidates(names, str(self._repository), details)

    async def report(self, deployment: Deployment) -> None:
        """
        Add the audit record to the release as an asset.

        Raises:
            RemoteError: there is no token, or the upload failed.
        """
        if isinstance(self._account.credentials, Anonymous):
            raise RemoteError(f"{self._repository} accepts no report without a token")
        github = await self._github()
        release = await github.find(self._repository, deployment.release.tag)
        await github.upload(release, deployment.audit_name, deployment.audit_text)

    async def _github(self) -> GitHub:
        return await connect(self._clients, self._account)

    def _release(self, release: GitHubRelease, version: Version) -> Release:
        where = f"{self._repository} {release.tag}"
        if release.odd:
            raise NoRelease(f"GitHub describes {where} incorrectly: {release.odd}")
        names = [a.name for a in release.assets if not is_audit_name(a.name)]
        try:
            file, beside = self._options.file(
                names, where, release.published_at, version
            )
        except NoRelease as exc:
            raise _unfinished(exc, release) from None
        asset = _asset_named(file, release)
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
            refused=beside,
        )

    def _artifact_url(self, tag: str, name: str) -> str:
        owner, repository = self._repository
        parts = [owner, repository, "tag", tag, name]
        return "ghr://" + "/".join(quote(part, safe="+") for part in parts)


def _asset_named(name: str, release: GitHubRelease) -> GitHubAsset:
    return next(asset for asset in release.assets if asset.name == name)


def _unfinished(exc: NoRelease, release: GitHubRelease) -> NoRelease:
    """Return *exc*, with the uploads that were begun and not finished, if any."""
    if not release.unfinished or isinstance(exc, Ambiguous):
        return exc
    return NoRelease(
        f"{exc}; upload not finished: {', '.join(release.unfinished)}",
        exc.refused,
        exc.since,
        unfinished=True,
    )
