"""GitHub's REST API, as far as releases need it (docs.github.com/rest)."""

from .account import Account, Anonymous
from .answers import GitHubAsset, GitHubRelease
from .client import GitHub, connect
from .repository import Repository

__all__ = [
    "Account",
    "Anonymous",
    "GitHub",
    "GitHubAsset",
    "GitHubRelease",
    "Repository",
    "connect",
]
