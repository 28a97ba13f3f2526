"""Options: the settings an operator can give, and the kinds of their values."""

from __future__ import annotations

from dataclasses import dataclass

from .values import (
    ValueKind,
    addresses,
    choice,
    duration,
    file_list,
    flag,
    health_path,
    host_header,
    interval,
    last,
    lenient_duration,
    number,
    positive_duration,
    url,
    url_list,
    verbatim,
)

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


TIME = ValueKind("TIME", last(duration), (int, float, str))
SOME_TIME = ValueKind("TIME", last(positive_duration), (int, float, str))
HEALTH_TIMEOUT = ValueKind("TIME", last(lenient_duration(30.0)), (int, float, str))
INTERVAL = ValueKind("TIME", last(interval), (int, float, str))
TEXT = ValueKind("TEXT", last(verbatim))
SHELL = ValueKind("COMMAND", last(verbatim))
PATH = ValueKind("PATH", last(verbatim))
KEY_FILES = ValueKind("KEYFILE", file_list("a public key"), repeated=True)
ENV_FILES = ValueKind("FILE", file_list("variables"), repeated=True)
HEALTH_PATH = ValueKind("PATH", last(health_path))
COUNT = ValueKind("NUMBER", last(number(1, 100)), (int,))
HEALTH_HOST = ValueKind("HOST", last(host_header))
URL = ValueKind("URL", last(url))
URLS = ValueKind("URL", url_list, repeated=True)
PORTS = ValueKind("PORT", addresses, (int, str), repeated=True)
FLAG = ValueKind("", last(flag), (bool,))
KEEP = ValueKind("NUMBER", last(number(2, 1000)), (int,))
ADMIN_PORT = ValueKind("PORT", last(number(0, 65535)), (int,))
READY = ValueKind("HOW", last(choice("auto", "notify", "grace")))
VERIFY = ValueKind("WHEN", last(choice("off", "auto", "required")))
LEVEL = ValueKind(
    "LEVEL",
    last(choice("debug", "info", "warn", "error", warning="warn", blank="info")),
)
FORMAT = ValueKind("FORMAT", last(choice("text", "json", blank="text")))
