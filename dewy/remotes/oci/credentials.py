"""Credentials for an image registry."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    The credentials for an image registry: a name and a password, or an identity token.

    Attributes:
        source: The place where they were found, for people.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    source: str = field(default="", compare=False)
