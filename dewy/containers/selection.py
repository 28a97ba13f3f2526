"""The versions a host wants from its registry, by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config import Settings
from ..errors import ConfigError
from ..versions import Platform, Selection
from ..versions.platforms import ImagePlatform

__all__ = ["image_platform", "selection_of"]

ENGINES = ("DOCKER_HOST", "CONTAINER_HOST")


def selection_of(
    settings: Settings, environ: Mapping[str, str], reports: Path | None = None
) -> Selection:
    """Return what the host with *settings* takes."""
    wanted = image_platform(settings, environ) if settings.images else None
    return Selection(settings.slot, reports=reports, image_platform=wanted)


def image_platform(
    settings: Settings, environ: Mapping[str, str]
) -> ImagePlatform | None:
    """
    Return the platform that images need: `--platform`, or else this host's.

    None where only the engine knows: it may belong to another host.
    """
    from .options.arguments import parse

    try:
        asked = parse(settings.run_options, environ, settings.root).platform
    except ConfigError:
        # Refused where the options are used.
        return None
    if asked:
        return ImagePlatform.read(asked)
    if any(not environ.get(name, "unix:").startswith("unix:") for name in ENGINES):
        return None
    here = Platform.here()
    return ImagePlatform(
        "linux", here.arch, f"v{here.arm}" if here.arch == "arm" else ""
    )
