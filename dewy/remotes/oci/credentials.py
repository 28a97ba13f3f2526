"""Whom an image registry is told that we are."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    What an image registry is shown: a name and a password, or an identity token.

    Attributes:
        source: Where they were found, for people.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    source: str = field(default="", compare=False)
