"""From flags, environment and `dewy.toml`, in this order, to `Settings`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from .. import urls
from ..errors import ConfigError, Mistakes
from .proxying import proxying_faults
from .settings import (
    IMAGES,
    OPTIONS,
    Option,
    Settings,
    options_of,
    options_without_effect,
)

NEEDS_REGISTRY = frozenset({"server", "assets", "container", "check"})
TAKES_FILES = frozenset({"server", "assets"})
PRIVILEGED = 1024
SETTINGS = frozenset(field.name for field in fields(Settings))


def resolve(
    command: str,
    given: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: Path,
) -> Settings:
    """
    Return the settings of *command* in the root *cwd*.

    *given* holds flags by their long names (a text, a list of texts, True) and,
    for `server`, the program and its arguments under `program`; for `container`,
    the options for its engine under `run-options`.

    Raises:
        ConfigError: a value that was given is invalid; the message names where it is
            and what it is. ConfigErrors if there is more than one such value.
    """
    settings, mistakes = examine(command, given, environ, cwd)
    mistakes.check()
    return settings


def resolve_anyway(
    command: str,
    given: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: Path,
) -> tuple[Settings, list[ConfigError]]:
    """
    Resolve as `examine` does; return the mistakes of the file and the environment.

    For commands that inspect, or that are needed in an emergency: a mistake in a file
    for the next start must not stop them.

    Raises:
        ConfigError: a flag is invalid.
    """
    settings, mistakes = examine(command, given, environ, cwd)
    if mistakes.errors:
        flags = {name: value for name, value in given.items() if name != "config"}
        examine(command, flags, {}, cwd, file=False)[1].check()
    return settings, mistakes.errors


def examine(
    command: str,
    given: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: Path,
    *,
    file: bool = True,
) -> tuple[Settings, Mistakes]:
    """
    Resolve with defaults in place of invalid values; return the mistakes, too.

    For a dry run, which checks the rest all the same. The *file* of options is left out
    where it is False.
    """
    mistakes = Mistakes()
    spoken = {**from_environment(environ), **from_flags(given)}
    written, unread = _written(spoken, cwd, mistakes) if file else ({}, set())
    said = {**written, **spoken}
    values, invalid = _values(_judged_as(command, said), said, mistakes)
    unread = invalid | (unread - spoken.keys())
    with mistakes.caught():
        _add_calver(values, said)
    settings = Settings(
        command=command,
        root=cwd,
        cache_dir=_cache_dir(environ, cwd),
        program=_words(given, "program"),
        run_options=_words(given, "run-options"),
        admin_port_chosen="admin-port" in said,
        overridden=tuple(_overridden(written, spoken)),
        registry_unread=tuple(map(str, mistakes.errors))
        if "registry" in unread
        else (),
        **{name: value for name, value in values.items() if name in SETTINGS},
    )
    cautions = (
        *_foreign(command, given),
        *_without_effect(settings, unread),
        *(_idle_of_proxy(settings, values, unread) if command == "proxy" else ()),
        *_privileged(settings),
        *_cut_short(settings, values, unread),
    )
    # Of a value that could not be read nothing further is known.
    faults = _faults(settings, said)
    mistakes.errors.extend(
        ConfigError(text) for name, text in faults if name not in unread
    )
    return replace(settings, cautions=cautions), mistakes


def _written(
    spoken: Mapping[str, Said], cwd: Path, mistakes: Mistakes
) -> tuple[dict[str, Said], set[str]]:
    """Read the file that *spoken* names, or the usual one, as `from_file` does."""
    config = spoken.get("config")
    path = cwd / (config.texts[-1] if config else FILE)
    return from_file(path, required=config is not None, mistakes=mistakes)


def _overridden(
    written: Mapping[str, Said], spoken: Mapping[str, Said]
) -> Iterator[str]:
    """Yield the keys of the file that flags or variables keep from having an effect."""
    for name, entry in written.items():
        other = spoken.get(name)
        if other is not None and other.texts != entry.texts:
            yield f"{other.what} overrides {entry.what}"


def _words(given: Mapping[str, object], name: str) -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", given.get(name, ())))


def _judged_as(command: str, said: Mapping[str, Said]) -> str:
    """Return the command whose options apply: `check` may be about any registry."""
    registry = said.get("registry")
    scheme = registry.texts[-1].partition("://")[0].lower() if registry else ""
    return "container" if command == "check" and scheme == IMAGES else command


def _values(
    command: str, said: Mapping[str, Said], mistakes: Mistakes
) -> tuple[dict[str, Any], set[str]]:
    """
    Return the settings that were given, and the options whose values cannot be read.
    """
    values, unread = {}, set()
    for option in options_of(command):
        if option.name not in said:
            continue
        unread.add(option.name)
        with mistakes.caught():
            entry = said[option.name]
            values[option.setting] = option.read(entry.texts, entry.what)
            unread.discard(option.name)
    return values, unread


def _add_calver(values: dict[str, Any], said: Mapping[str, Said]) -> None:
    calver = values.get("calver", "")
    if not calver:
        return
    from ..versions.version import calver_pattern

    try:
        calver_pattern(calver)
    except ConfigError as exc:
        raise ConfigError(f"{said['calver'].what}: {exc}") from exc
    if values.get("registry"):
        values["registry"] = with_calver(values["registry"], calver)


def with_calver(registry: str, calver: str) -> str:
    """Return the registry URL with the option `calver`, in its canonical form."""
    head, _, query = registry.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    others = [pair for pair in pairs if pair[0].lower() != "calver"]
    return urls.canonical(f"{head}?{urlencode([*others, ('calver', calver)])}")


def _cache_dir(environ: Mapping[str, str], root: Path) -> Path:
    # An absolute path replaces the root it is joined to.
    return root / (environ.get("DEWY_CACHEDIR") or ".dewy/cache")


def _foreign(command: str, given: Mapping[str, object]) -> list[str]:
    """Return the flags of other commands, which the original takes with each."""
    names = [f"--{option.name}" for option in options_without_effect(command)]
    found = [name for name in names if given.get(name.removeprefix("--"))]
    return [f"no effect with {command}: {', '.join(found)}"] if found else []


def _without_effect(settings: Settings, unread: Set[str]) -> Iterator[str]:
    told = settings.otlp_endpoint or "otlp-endpoint" in unread
    if settings.otlp_insecure and not told:
        yield "--otlp-insecure has no effect without --otlp-endpoint"
    if settings.telemetry and not settings.admin_port and not told:
        yield "--telemetry has no effect with --admin-port 0: there is no HTTP API"
    level = settings.log_level
    if settings.log_connections and level in ("warn", "error"):
        yield f"--log-connections has no effect with --log-level {level}"


def _idle_of_proxy(
    settings: Settings, values: Mapping[str, Any], unread: Set[str]
) -> Iterator[str]:
    """Yield the options of `dewy proxy` that lack another one to have an effect."""
    if not settings.health_path and "health-path" not in unread:
        for name in ("host", "interval", "rise", "fall"):
            if f"health_{name}" in values:
                yield f"--health-{name} has no effect without --health-path"
    # Sockets that are passed have their permissions from who made them.
    if not any(each.path for each in settings.listen) and "listen" not in unread:
        for name in ("mode", "owner"):
            if f"socket_{name}" in values:
                yield f"--socket-{name} has no effect without a unix: --listen"


def _cut_short(
    settings: Settings, values: Mapping[str, Any], unread: Set[str]
) -> Iterator[str]:
    """Yield the time-outs asked for that dewy's own shutdown time-out cuts short."""
    if "shutdown-timeout" in unread:
        return
    limit = settings.shutdown_timeout
    names = {"stop_timeout": "--stop-timeout", "drain_time": "--drain-time"}
    for name, option in names.items():
        if values.get(name, 0.0) > limit:
            yield (
                f"{option} {values[name]:g}s is cut short when dewy itself stops, which"
                f" --shutdown-timeout gives {limit:g}s"
            )


def _privileged(settings: Settings) -> list[str]:
    numbers = {each.name: each.port for each in settings.ports}
    numbers |= {str(each.endpoint): each.proxy for each in settings.port_mappings}
    return [
        f"port {name} is below {PRIVILEGED}: binding it needs a privilege"
        for name, number in numbers.items()
        if number < PRIVILEGED
    ]


def _faults(settings: Settings, said: Mapping[str, Said]) -> Iterator[tuple[str, str]]:
    """Yield the faults of the options' combination, each with the option concerned."""
    command = settings.command
    if command in NEEDS_REGISTRY and not settings.registry:
        yield "registry", missing_registry(command)
    else:
        yield from _unfit_scheme(command, settings)
    if command == "server" and not settings.program:
        yield (
            "program",
            "server needs a program to run: dewy server [OPTIONS] -- PROGRAM [ARGS…]",
        )
    if command == "container" and not settings.port_mappings:
        yield (
            "port",
            (
                "container needs a --port to listen on: --port 8080, or --port 8080:80 "
                "or 127.0.0.1:8080:80 for port 80 of the containers"
            ),
        )
    if command == "proxy":
        yield from proxying_faults(settings.listen, settings.backends)
    if settings.health_path and command == "server" and not settings.ports:
        yield "port", f"{said['health-path'].what} needs a --port to ask"


def _unfit_scheme(command: str, settings: Settings) -> Iterator[tuple[str, str]]:
    shown = urls.redact(settings.registry)
    if command in TAKES_FILES and settings.images:
        yield (
            "registry",
            f"{command} cannot run the images of {shown}; `dewy container` does",
        )
    if command == "container" and not settings.images:
        yield (
            "registry",
            (
                "container needs a registry of images, such as img://ghcr.io/acme/shop,"
                f" not {shown}; `dewy server` and `dewy assets` take files"
            ),
        )


def missing_registry(command: str) -> str:
    """Return the message for an operator who gave no registry."""
    return (
        f"{command} needs a registry: --registry URL, DEWY_REGISTRY, "
        f"or the key registry in {FILE}"
    )


FILE = "dewy.toml"

_TYPES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
_FOUND = {**_TYPES, list: "an array", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Said:
    """
    The values given for one option.

    Attributes:
        what: The source, as errors name it.

        texts: The values, in order; at least one.
    """

    what: str
    texts: tuple[str, ...]


def from_flags(given: Mapping[str, object]) -> dict[str, Said]:
    """Return the values of flags: texts, lists of texts, or True."""
    said = {}
    for name, value in given.items():
        texts = _texts(value)
        if name in OPTIONS and texts:
            said[name] = Said(f"--{name}", texts)
    return said


def _texts(value: object) -> tuple[str, ...]:
    if value is None or value is False:
        return ()
    if value is True:
        return ("true",)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(each) for each in value)
    return (str(value),)


def from_environment(environ: Mapping[str, str]) -> dict[str, Said]:
    """Return the values of `DEWY_…` variables; an empty one counts as unset."""
    said = {}
    for option in OPTIONS.values():
        text = environ.get(option.variable, "").strip()
        if text:
            texts = tuple(text.split()) if option.kind.repeated else (text,)
            said[option.name] = Said(option.variable, texts)
    return said


def from_file(
    path: Path, *, required: bool, mistakes: Mistakes
) -> tuple[dict[str, Said], set[str]]:
    """
    Return the values in the TOML file *path*, and the options it may name unreadably.

    *mistakes* get each: the file is *required* and missing, cannot be read, is no TOML,
    or holds an unknown key or a value of the wrong type. The rest of it counts.
    """
    entries: dict[str, Said] = {}
    unread = {*OPTIONS}
    with mistakes.caught():
        data = _table(path, required=required)
        unread.clear()
        for key, value in data.items():
            with mistakes.caught():
                near = _near(key)
                unread.add(near)
                name, entry = _entry(key, value, path.name)
                unread.discard(near)
                entries[name] = entry
    return entries, unread


def _table(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        if not required:
            return {}
        raise ConfigError(f"the configuration file {path} does not exist") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        where = f"UTF-8 ends at byte {exc.start + 1}"
        raise ConfigError(f"{path} is not TOML: {where}") from None
    except ValueError as exc:
        raise ConfigError(f"{path} is not TOML: {exc}") from exc


def _entry(key: str, value: object, file: str) -> tuple[str, Said]:
    option = _known(key, file)
    what = f"{file}: {key}"
    if isinstance(value, list) and option.kind.repeated:
        return option.name, Said(what, tuple(_text(v, option, what) for v in value))
    return option.name, Said(what, (_text(value, option, what),))


def _near(key: str) -> str:
    """Return the option that *key* names, or that was meant; "" for none."""
    names = [name for name in OPTIONS if name != "config"]
    return next(iter(get_close_matches(key.replace("_", "-"), names, 1)), "")


def _known(key: str, file: str) -> Option:
    near = _near(key)
    if near and near == key.replace("_", "-"):
        return OPTIONS[near]
    hint = f"did you mean {near}?" if near else "keys are the long option names"
    raise ConfigError(f"{file}: there is no option {key!r} ({hint})")


def _text(value: Any, option: Option, what: str) -> str:
    # By exact type: a bool is an int to isinstance.
    if type(value) not in option.kind.toml:
        right = " or ".join(_TYPES[each] for each in option.kind.toml)
        if option.kind.repeated:
            right += ", or an array of them"
        found = _FOUND.get(type(value), "a date or time")
        raise ConfigError(f"{what} must be {right}, not {found}")
    return str(value).lower() if isinstance(value, bool) else str(value)
