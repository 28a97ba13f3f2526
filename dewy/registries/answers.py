"""Names of registries' answers."""

from __future__ import annotations

from datetime import datetime


class AnswerNames:
    """
    Names of answers by the time they were first given; the same answer keeps its name.
    """

    def __init__(self) -> None:
        self._last = ("", "")

    def name(self, answer: str) -> str:
        """Return the name of *answer*: `20310203T040506+0900`, or `…Z`."""
        if self._last[0] != answer:
            self._last = (answer, stamp(datetime.now().astimezone()))
        return self._last[1]


def stamp(moment: datetime) -> str:
    """Return the name of an answer given at *moment* (aware)."""
    offset = f"{moment:%z}"
    return f"{moment:%Y%m%dT%H%M%S}{'Z' if offset == '+0000' else offset}"
