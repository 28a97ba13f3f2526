"""Names of GitHub repositories."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from ...errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Repository(NamedTuple):
    """A repository, as in `github.com/OWNER/NAME`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @classmethod
    def named(cls, owner: str, name: str) -> Self:
        """
        Check what a URL says.

        Raises:
            ConfigError: GitHub gives no such names.
        """
        if "@" in owner:
            raise ConfigError(
                "ghr:// takes no login in the URL; set GITHUB_TOKEN, and write"
                f" ghr://{owner.rpartition('@')[2]}/{name}"
            )
        for part in (owner, name):
            if not _NAME.fullmatch(part) or part in (".", ".."):
                raise ConfigError(
                    f"ghr://{owner}/{name} is not of the form ghr://OWNER/REPOSITORY"
                )
        return cls(owner, name)
