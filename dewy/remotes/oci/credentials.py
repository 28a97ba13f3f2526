"""Credentials for an image registry."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    The credentials for an image registry: a name and a password, or an identity token.

    Those that are neither are nobody's: shown to no registry, they tell why there are
    no others.

    Attributes:
        source: The place where they were found, for people.

        failures: The places that failed before these were found, for people.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    source: str = field(default="", compare=False)
    failures: tuple[str, ...] = field(default=(), compare=False)

    @property
    def anonymous(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.username or self.token)
