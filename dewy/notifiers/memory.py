"""A notifier that keeps its notices in memory."""

from __future__ import annotations

from urllib.parse import SplitResult

from . import Notice, Origin


class MemoryNotifier:
    """A notifier that keeps its notices in *sent*, oldest first."""

    def __init__(self, url: SplitResult, origin: Origin | None = None) -> None:
        self.name = url.netloc
        self.sent: list[Notice] = []

    def __repr__(self) -> str:
        return f"<MemoryNotifier {self.name}: {len(self.sent)} sent>"

    async def send(self, notice: Notice) -> None:
        self.sent.append(notice)
