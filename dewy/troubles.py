"""
Troubles with what is optional, such as logins and certificates of the host.

What is absent is no trouble. What is there and broken is told, and dewy goes on
without it; docs/reference/optional-sources.md has the rule and what it holds for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

__all__ = ["Trouble", "tell"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    A trouble, as the log shows it.

    Attributes:
        event: The message; "" for what is not worth one by itself.

        error: The reason, in one line, without secrets.

        file: The path of the file concerned, or "".
    """

    event: str
    error: str
    file: str = ""


_told: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[Hashable, frozenset[Trouble]]
] = WeakKeyDictionary()


def tell(log: logging.Logger, subject: Hashable, found: Iterable[Trouble]) -> None:
    """
    Warn of the troubles *found* with *subject*, each once for as long as it lasts.

    None have to be *found* for one that comes back to be told again.
    """
    told = _told.setdefault(asyncio.get_running_loop(), {})
    known, now = told.pop(subject, frozenset()), tuple(dict.fromkeys(found))
    for trouble in now:
        if trouble.event and trouble not in known:
            where = {"file": trouble.file} if trouble.file else {}
            log.warning(trouble.event, extra={**where, "error": trouble.error})
    if now:
        told[subject] = frozenset(now)
