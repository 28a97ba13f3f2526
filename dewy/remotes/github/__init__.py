"""GitHub's REST API, as far as releases need it (docs.github.com/rest)."""

from .account import Anonymous, GitHubAccount
from .answers import GitHubAsset, GitHubRelease
from .client import GitHub, Repository, connect

__all__ = [
    "Anonymous",
    "GitHub",
    "GitHubAccount",
    "GitHubAsset",
    "GitHubRelease",
    "Repository",
    "connect",
]
