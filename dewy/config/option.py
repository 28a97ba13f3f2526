"""Options: the settings an operator can give."""

from __future__ import annotations

from dataclasses import dataclass

from .values import ValueKind

__all__ = ["CONTAINER", "FILES", "RUN", "SERVER", "Option"]

SERVER = frozenset({"server", "check"})
FILES = SERVER | {"assets"}
CONTAINER = frozenset({"container", "check"})
RUN = FILES | CONTAINER


@dataclass(frozen=True, slots=True)
class Option:
    """
    A setting that an operator can give.

    Several may have one name, for different commands; then only what is read
    from the value and what is said of it differ.

    Attributes:
        name: The long flag without the dashes.

        kind: The kind of value.

        help: The help text, one line.

        commands: The commands that take the option.

        short: The one-letter flag, or "".

        default: The value without any given, as an operator would write it.

        field: The field's name in `Settings`; by default *name*. "" for an option that
            is no setting: of a later version, or only about where to read.

        negates: The flag turns the setting off.
    """

    name: str
    kind: ValueKind
    help: str
    commands: frozenset[str] = RUN
    short: str = ""
    default: str = ""
    field: str | None = None
    negates: bool = False

    @property
    def setting(self) -> str:
        """The field's name in `Settings`, or ""."""
        return self.name.replace("-", "_") if self.field is None else self.field

    @property
    def variable(self) -> str:
        """The environment variable that says the same."""
        return "DEWY_" + self.name.upper().replace("-", "_")
