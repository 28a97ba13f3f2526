"""Choosing an implementation by the scheme of its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Generic, NamedTuple, ParamSpec, TypeVar, cast
from urllib.parse import SplitResult

from . import urls
from .errors import (
    ConfigError,
    ImplementationUnavailable,
    UnknownScheme,
    install_hint,
    register_plugin,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

P = ParamSpec("P")
T = TypeVar("T")


class Implementation(NamedTuple):
    """The import string of an implementation, and the extra with its dependencies."""

    target: str
    extra: str = ""


class Schemes(Generic[P, T]):
    """
    A set of implementations of one kind, keyed by URL scheme.

    Entries are import strings: an implementation, and whatever it depends on,
    is loaded when a URL first asks for it and not before. Other distributions
    add theirs through the entry-point group `dewy.<kind>`, where the entry's
    name is the scheme; they cannot replace ours.

    A factory is called with the URL taken apart, then with whatever `open` was
    given beside it.
    """

    def __init__(self, kind: str, entries: Mapping[str, Implementation]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __repr__(self) -> str:
        return f"<Schemes of {self.kind}: {', '.join(sorted(self._entries))}>"

    def open(self, url: str, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Return the implementation that *url* names, configured by it.

        Raises:
            UnknownScheme: the scheme has no implementation.
            ImplementationUnavailable: the implementation's optional dependency is
                missing.
            ConfigError: the implementation refused the URL, which is named.
        """
        parts = urls.split(url, self.kind)
        factory = self.factory(parts.scheme)
        try:
            return factory(parts, *args, **kwargs)
        except ConfigError as exc:
            where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else url
            if urls.redact(where) in str(exc):
                raise
            shown = urls.redact(url)
            if isinstance(exc, urls.UnknownOption):
                # The option may be misspelt, and its value a secret.
                shown = shown.partition("?")[0]
            raise ConfigError(f"{self.kind} {shown}: {exc}") from exc

    def factory(self, scheme: str) -> Callable[..., T]:
        """Return the callable that `open` uses for *scheme*; raises as `open` does."""
        if scheme in self._entries:
            return self._load(scheme, self._entries[scheme])
        plugins = self._plugins()
        if scheme not in plugins:
            known = ", ".join(sorted({*self._entries, *plugins}))
            raise UnknownScheme(
                f"no {self.kind} answers to {scheme}:// (known: {known})"
            )
        return self._load_plugin(scheme, plugins[scheme])

    def _plugins(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points  # takes longer than all of this

        return {entry.name: entry for entry in entry_points(group=f"dewy.{self.kind}")}

    def _load(self, scheme: str, entry: Implementation) -> Callable[..., T]:
        module, _, attribute = entry.target.partition(":")
        try:
            factory: Callable[..., T] = getattr(import_module(module), attribute)
        except ModuleNotFoundError as exc:
            # A module of ours that is missing is no matter of dependencies.
            if not entry.extra or (exc.name or "").startswith("dewy."):
                raise
            raise ImplementationUnavailable(
                f"{scheme}:// needs {exc.name}; {install_hint(entry.extra)}"
            ) from exc
        return factory

    def _load_plugin(self, scheme: str, plugin: EntryPoint) -> Callable[..., T]:
        register_plugin(plugin.value.partition(":")[0], scheme)
        try:
            return cast("Callable[..., T]", plugin.load())
        except Exception as exc:
            why = " ".join(str(exc).split()) or type(exc).__name__
            raise ImplementationUnavailable(
                f"{scheme}:// is {plugin.value}, which cannot be loaded: {why}"
            ) from exc


__all__ = ["Implementation", "Schemes", "SplitResult"]
