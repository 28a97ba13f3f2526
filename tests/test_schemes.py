"""Implementations are chosen by scheme, and loaded when they are first wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from urllib.parse import SplitResult

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.caches import CACHES
from dewy.errors import ConfigError, ImplementationUnavailable, UnknownScheme
from dewy.notifiers import NOTIFIERS
from dewy.registries import REGISTRIES
from dewy.schemes import Implementation, Schemes

Things = Schemes[[int], object]


class Thing:
    def __init__(self, url: SplitResult, number: int) -> None:
        self.url, self.number = url, number


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a module that can be imported, and removes it again."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return make


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """What other distributions seem to offer."""
    offered: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [entry for entry in offered if entry.group == group]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return offered


THING = Implementation(f"{__name__}:Thing")


def test_scheme_selects_and_the_url_configures() -> None:
    thing = Things("thing", {"one": THING}).open("ONE://host/path?a=b", 7)

    assert isinstance(thing, Thing)
    assert ("host", "/path", 7) == (thing.url.netloc, thing.url.path, thing.number)


def test_unknown_scheme_is_refused_with_those_that_are_known(
    plugins: list[EntryPoint],
) -> None:
    plugins.append(EntryPoint("other", "other:Thing", "dewy.thing"))

    with pytest.raises(
        UnknownScheme, match=r"no thing .* two:// \(known: one, other\)"
    ):
        Things("thing", {"one": THING}).open("two://x", 1)


def test_url_without_a_scheme_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="thing 'slack'"):
        Things("thing", {"one": THING}).open("slack", 1)


def test_implementation_is_loaded_lazily(
    module: Callable[..., str],
) -> None:
    name = module("lazy_thing", "def make(url, number): return number")
    things = Things("thing", {"lazy": Implementation(f"{name}:make")})
    assert name not in sys.modules

    assert 7 == things.open("lazy://x", 7)
    assert name in sys.modules


def test_missing_dependency_error_names_extra_to_install(
    module: Callable[..., str],
) -> None:
    name = module("needy_thing", "import no_such_client")
    things = Things("thing", {"needy": Implementation(f"{name}:make", extra="cloud")})

    with pytest.raises(
        ImplementationUnavailable,
        match=r"no_such_client; install dewy .* extra 'cloud'",
    ):
        things.open("needy://x", 1)


def test_missing_module_of_our_own_is_not_blamed_on_a_dependency() -> None:
    things = Things(
        "thing", {"ours": Implementation("dewy.no_such_module:x", extra="cloud")}
    )

    with pytest.raises(ModuleNotFoundError):
        things.open("ours://x", 1)


def test_other_distributions_add_schemes(
    module: Callable[..., str], plugins: list[EntryPoint]
) -> None:
    name = module("foreign_thing", "def make(url, number): return -number")
    plugins.append(EntryPoint("foreign", f"{name}:make", "dewy.thing"))

    assert -7 == Things("thing", {}).open("foreign://x", 7)


def test_other_distributions_cannot_replace_ours(plugins: list[EntryPoint]) -> None:
    plugins.append(EntryPoint("one", "no_such_module:make", "dewy.thing"))

    assert isinstance(Things("thing", {"one": THING}).open("one://x", 7), Thing)


@pytest.mark.parametrize("value", ["no_such_module:make", "json:no_such_name"])
def test_broken_implementation_of_others_is_unavailable(
    plugins: list[EntryPoint], value: str
) -> None:
    plugins.append(EntryPoint("foreign", value, "dewy.thing"))

    with pytest.raises(ImplementationUnavailable, match=f"foreign:// is {value}"):
        Things("thing", {}).open("foreign://x", 7)


def test_table_shows_its_schemes() -> None:
    assert "<Schemes of thing: one, two>" == repr(
        Things("thing", {"two": THING, "one": THING})
    )


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        *[(ARTIFACTS, scheme) for scheme in ("file", "mem", "ghr", "http", "https")],
        *[(REGISTRIES, scheme) for scheme in ("file", "mem", "ghr", "img")],
        *[(CACHES, scheme) for scheme in ("file", "mem")],
        (NOTIFIERS, "mem"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_scheme_of_ours_leads_somewhere(
    kind: Schemes[..., object], scheme: str
) -> None:
    assert callable(kind.factory(scheme))
