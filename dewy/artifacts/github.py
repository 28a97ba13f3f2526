"""Assets of GitHub Releases: `ghr://OWNER/REPOSITORY/tag/TAG/FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import SplitResult, unquote

from .. import urls
from ..errors import ConfigError, Missing
from ..release import Release
from ..remotes import Clients
from ..remotes.github import GitHub, GitHubAccount, GitHubAsset, Repository, connect
from . import Progress


class AssetLocation(NamedTuple):
    """The repository, tag and file that a URL names."""

    repository: Repository
    tag: str
    name: str

    @classmethod
    def read(cls, url: SplitResult) -> Self:
        """
        Parse *url*.

        Raises:
            ConfigError: *url* is not of the form `ghr://OWNER/REPOSITORY/tag/TAG/FILE`.
        """
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        if len(parts) != 4 or parts[1] != "tag" or not all(parts):
            raise ConfigError(
                f"{urls.redact(url.geturl())} is not of the form"
                " ghr://OWNER/REPOSITORY/tag/TAG/FILE"
            )
        repository, _, tag, name = parts
        return cls(Repository.named(url.netloc, repository), tag, name)


class GitHubArtifacts:
    """
    The assets of one release.

    Create it in a thread: it may read a private key.

    Raises:
        ConfigError: the URL or the credentials are invalid.
    """

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        self._location = AssetLocation.read(url)
        self._account = GitHubAccount.from_environment()
        self._clients = clients

    def __repr__(self) -> str:
        return f"<GitHubArtifacts {self._location.repository} {self._location.tag}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        """
        Stream the asset to *into*, resuming where a connection broke.

        Raises:
            RemoteError: the asset is gone, or GitHub did not deliver all of it.
            DeploymentError: the file could not be written.
        """
        github = await self._github()
        asset = await self._asset(github, self._location.name)
        await github.download(self._location.repository, asset, into, progress)

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        """
        Return the asset *name* of the same release.

        Raises:
            Missing: the release holds no such asset.
            RemoteError: the asset cannot be read, or is larger than *limit* bytes.
        """
        github = await self._github()
        asset = await self._asset(github, name)
        return await github.read(self._location.repository, asset, limit)

    async def _github(self) -> GitHub:
        return await connect(self._clients, self._account)

    async def _asset(self, github: GitHub, name: str) -> GitHubAsset:
        repository, tag, _ = self._location
        release = await github.find(repository, tag)
        asset = release.asset(name)
        if asset is None:
            raise Missing(f"{repository} {tag} holds no asset {name}")
        return asset
