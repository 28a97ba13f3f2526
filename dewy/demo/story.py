"""Findings of the demo."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Story:
    """
    Attributes:
        switch_seconds: Seconds from publishing v1.1.0 to its first answer.

        verdict: Reason why v1.2.0 was refused.

        runs: Version that runs at the end.

        problems: Things that should not have happened.
    """

    switch_seconds: float = 0.0
    verdict: str = ""
    runs: str = ""
    problems: list[str] = field(default_factory=list)
