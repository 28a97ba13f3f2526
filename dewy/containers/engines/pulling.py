"""Progress of an image pull, from what an engine reports of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMPLETE = frozenset({"Already exists", "Download complete", "Pull complete"})
LAYER = COMPLETE | {"Pulling fs layer", "Waiting", "Downloading", "Extracting"}


class Layers:
    """Layers of one pull; both engines report them in Docker's terms."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._size: dict[str, int | None] = {}

    def __repr__(self) -> str:
        return f"<Layers {self.done} of {self.total}>"

    @property
    def done(self) -> int:
        """Bytes pulled so far; never fewer than before."""
        return sum(self._done.values())

    @property
    def total(self) -> int | None:
        """Bytes in total; None while a layer's size is unknown."""
        sizes = list(self._size.values())
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None

    def feed(self, item: Mapping[str, Any]) -> bool:
        """
        Process a line of the engine's output; return whether the progress changed.
        """
        name, status = item.get("id"), item.get("status")
        if not isinstance(name, str) or status not in LAYER:
            return False
        before = self.done, self.total
        self._size.setdefault(name, None)
        detail = item.get("progressDetail") or {}
        if status == "Downloading":
            self._advance(name, detail.get("current") or 0, detail.get("total") or 0)
        elif status in COMPLETE:
            size = self._size[name] or self._done.get(name, 0)
            self._advance(name, size, size)
            self._size[name] = size
        return before != (self.done, self.total)

    def _advance(self, name: str, current: int, size: int) -> None:
        # A layer that is retried starts anew; progress already reported stands.
        self._done[name] = max(self._done.get(name, 0), current)
        if size > 0:
            self._size[name] = max(size, self._done[name])
