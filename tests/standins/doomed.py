"""A `dewy container` that is killed at one point of its first deployment."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.standins.container_site import ContainerDewy


@dataclass
class Doomed(ContainerDewy):
    """
    See `killed`.

    Attributes:
        point: Where it dies; "" for never.
    """

    point: str = ""

    def arguments(self) -> list[str]:
        python, _, _, *rest = super().arguments()
        if not self.point:
            return [python, "-m", "dewy", *rest]
        return [sys.executable, "-m", "tests.standins.killed", self.point, *rest]
