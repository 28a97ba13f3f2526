"""Classification of an engine's refusals, and their text in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ... import urls
from ...errors import EngineError, ImageMissing, NameTaken, PullDenied

LONGEST = 400
"""Longest quotation of an engine's own words in a message, in characters."""

# Shorter values are no secrets, and striking them out would garble any text.
SHORTEST_SECRET = 4

# Status of aiodocker's errors that are no answer of the engine.
UNREACHABLE = 900

_URL = re.compile(r"\bhttps?://[^\s\"'<>]+")
_TAKEN = re.compile(r"name \S+ is already in use|name is already in use", re.IGNORECASE)
_NO_IMAGE = re.compile(
    r"no such image|image not known|unable to find image|no image with reference",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"unauthorized|unauthenticated|authentication required|authorization failed"
    r"|no basic auth|invalid username|access to the resource is denied"
    r"|pull access denied|\bdenied:|\b403\b.*forbidden|docker login",
    re.IGNORECASE,
)

# Messages of Docker's and Podman's runtimes about the command they were to execute.
_UNFIT = re.compile(
    r"exec format error|executable file|no command specified"
    r"|exec: |exec /|starting container process|unable to start container process"
    r"|unable to find user|no matching entries in passwd"
    r"|no such file or directory: OCI|permission denied: OCI",
    re.IGNORECASE,
)


def blames_image(text: str) -> bool:
    """Return whether a refused start says that the image cannot run."""
    return bool(_UNFIT.search(text))


def one_line(text: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* without line breaks, *secrets* and the queries of URLs."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            for form in {secret, json.dumps(secret)[1:-1]}:
                text = text.replace(form, "***")
    text = _URL.sub(lambda url: urls.redact(url[0].partition("?")[0]), text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def kind(status: int, text: str, *, pulling: bool = False) -> type[EngineError]:
    """Return the class of error for an answer of *status* with *text*."""
    if status in {409, 500} and _TAKEN.search(text):
        return NameTaken
    if pulling and (status in {401, 403} or _DENIED.search(text)):
        return PullDenied
    if not pulling and status in {404, 500} and _NO_IMAGE.search(text):
        return ImageMissing
    return EngineError


def gone(status: int, text: str) -> bool:
    """
    Return whether an answer says that there is no such container.

    Podman uses another status for a container that went while it was inspected.
    """
    return status == 404 or (status == 500 and "no such container" in text.lower())


def exists(status: int, text: str) -> bool:
    """Return whether an answer says that a network of that name exists already."""
    return status in {409, 500} and "already" in text.lower()


def in_use(status: int, text: str) -> bool:
    """Return whether an answer refuses a removal because the object is in use."""
    words = ("in use", "is using", "active endpoints", "has associated containers")
    return status in {403, 409, 500} and any(word in text.lower() for word in words)


def going(status: int, text: str) -> bool:
    """Return whether an answer says that the container is being removed right now."""
    words = ("already in progress", "being removed")
    return status in {409, 500} and any(word in text.lower() for word in words)


def paused(status: int, text: str) -> bool:
    """Return whether an answer refuses to end a container because it is paused."""
    return status in {409, 500} and "paused" in text.lower()


def secrets_of(spec: Mapping[str, Any]) -> list[str]:
    """Return the values of a container's configuration that must never be shown."""
    found: list[str] = []
    for entry in _words(spec.get("Env")):
        found += [entry, entry.partition("=")[2]]
    found += _words(spec.get("Cmd"))
    found += _words(spec.get("Entrypoint"))[1:]
    found += _words((spec.get("Healthcheck") or {}).get("Test"))[1:]
    options = (spec.get("HostConfig") or {}).get("LogConfig") or {}
    found += [str(value) for value in (options.get("Config") or {}).values()]
    return found


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list | tuple) else []
