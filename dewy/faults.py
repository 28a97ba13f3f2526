"""Attribution of an unexpected exception: to dewy, or to a plugin."""

from __future__ import annotations

from traceback import walk_tb

__all__ = ["fault_of", "of_plugin", "register"]

_PLUGINS: dict[str, str] = {}


def register(module: str, scheme: str) -> None:
    """Note that *module*, and all of its package, is the plugin for *scheme*."""
    _PLUGINS[module.partition(".")[0]] = f"the plugin for {scheme}://"


def of_plugin(exc: BaseException) -> str:
    """Return the name of the plugin that *exc* came through; "" for none."""
    if not _PLUGINS:
        return ""
    frames = (frame for frame, _ in walk_tb(exc.__traceback__))
    modules = (str(frame.f_globals.get("__name__", "")) for frame in frames)
    packages = (module.partition(".")[0] for module in modules)
    return next((_PLUGINS[each] for each in packages if each in _PLUGINS), "")


def fault_of(exc: BaseException) -> str:
    """Return `a fault of dewy`, or of the plugin that *exc* came through."""
    return f"a fault of {of_plugin(exc) or 'dewy'}"
