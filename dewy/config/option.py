"""The declaration of an option, by one field of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, replace
from inspect import get_annotations
from typing import Any, cast

from .values import ValueKind, duration, flag, health_path, last, positive_duration, url

SERVER = frozenset({"server", "check"})
FILES = SERVER | {"assets"}
CONTAINER = frozenset({"container", "check"})
RUN = FILES | CONTAINER
PROXY = frozenset({"proxy"})

LIST = "container list"
INIT = "init"
"""The command that takes the options of those for which it writes a file."""

VERB = "verb"
"""Any command that changes a root or the dewy there; `admin.verbs` has their names."""

ACT = frozenset({VERB})
LOOK = frozenset({"doctor", "status", "history", "why", "logs", "exec"})
ASK = frozenset({LIST, "ps"})
COMMANDS = RUN | ACT | LOOK | PROXY | ASK

ORIGINAL_COMMANDS = frozenset({"server", "assets", "container", LIST})
"""The commands of the original, which takes each of its options with each of them."""

TIME = ValueKind("TIME", last(duration), (int, float, str))
SOME_TIME = ValueKind("TIME", last(positive_duration), (int, float, str))
HEALTH_PATH = ValueKind("PATH", last(health_path))
URL = ValueKind("URL", last(url))
FLAG = ValueKind("", last(flag), (bool,), empty=False)


@dataclass(frozen=True, slots=True)
class Option:
    """
    A setting that an operator can give.

    Several may have one name, for different commands; then only what is read
    from the value and what is said of it differ.

    Attributes:
        name: The long flag without the dashes, and the key in `dewy.toml`.

        kind: The kind of value.

        help: The help text, one line.

        commands: The commands that take the option.

        short: The one-letter flag, or "".

        default: The value without any given, as an operator would write it.

        negates: The flag turns the setting off.

        reloadable: The commands that take over another value on reload.

        original: The original has it, and takes it with each of its commands.

        setting: The field's name in `Settings`; "" for an option that is no setting.
    """

    name: str
    kind: ValueKind
    help: str
    commands: frozenset[str]
    short: str = ""
    default: str = ""
    negates: bool = False
    reloadable: frozenset[str] = frozenset()
    original: bool = False
    setting: str = ""

    @property
    def variable(self) -> str:
        """Name of the option's environment variable."""
        return "DEWY_" + self.name.upper().replace("-", "_")

    @property
    def value(self) -> Any:
        """The setting without any value given."""
        if self.default:
            return self.kind.read((self.default,), f"the default of --{self.name}")
        if self.kind.repeated:
            return ()
        return not self.kind.empty if self.negates else self.kind.empty

    def read(self, texts: tuple[str, ...], what: str) -> Any:
        """
        Return the setting that *texts* make; *what* they were given for.

        Raises:
            ConfigError: they are invalid.
        """
        found = self.kind.read(texts, what)
        if found is None:
            return self.value
        return not found if self.negates else found


def option(
    kind: ValueKind,
    help: str | Mapping[frozenset[str], str],
    commands: frozenset[str] = RUN,
    *,
    name: str = "",
    short: str = "",
    default: str = "",
    negates: bool = False,
    reloadable: frozenset[str] = frozenset(),
    original: bool = False,
) -> Any:
    """
    Declare an option as the default of a field of the settings.

    Its *name* is the field's unless given. A *help* that maps commands to texts
    declares it for each of them. Of an option that is only read, and no setting, the
    field is a `ClassVar`.
    """
    meanings = {commands: help} if isinstance(help, str) else help
    options = tuple(
        Option(name, kind, text, takers, short, default, negates, reloadable, original)
        for takers, text in meanings.items()
    )
    return _field(options)


def again(declared_in: type, name: str, help: str, commands: frozenset[str]) -> Any:
    """Declare the meaning of the option of the field *name* for further *commands*."""
    first = _fields(declared_in)[name].metadata[_KEY][0]
    return _field((replace(first, help=help, commands=commands),))


def declared(settings: type) -> Iterator[Option]:
    """Yield the options that the fields of *settings* and its bases declare."""
    for cls in reversed(settings.__mro__):
        for name in get_annotations(cls):
            for each in _fields(cls)[name].metadata.get(_KEY, ()):
                long = each.name or name.replace("_", "-")
                yield replace(each, name=long, setting=name)


_KEY = "options"


def _field(options: tuple[Option, ...]) -> Any:
    return field(default=options[0].value, metadata={_KEY: options})


def _fields(cls: type) -> Mapping[str, Field[Any]]:
    # `dataclasses.fields` leaves those out that are a ClassVar.
    return cast("Mapping[str, Field[Any]]", vars(cls)["__dataclass_fields__"])
