"""The load of a `dewy container`, from a process of its own."""

from __future__ import annotations

from tests.standins.container_clients import Tally
from tests.standins.load import Load

LIMIT = 1700.0


class ContainerLoad(Load):
    """
    As `Load`, with *slow* clients and *streams* of each direction, too.

    Attributes:
        report: A `Tally`.
    """

    clients = "tests.standins.container_clients"
    report: Tally

    def __init__(
        self, port: int, *, rate: float, kept: int, slow: int = 0, streams: int = 0
    ) -> None:
        super().__init__(port, rate=rate, kept=kept)
        self.report = Tally()
        self._options = {"port": port, "rate": rate, "kept": kept}
        self._options |= {"slow": slow, "streams": streams, "limit": LIMIT}

    async def goes_on(self, arrivals: int) -> None:
        """Wait for as many more answers."""
        wanted = self.report.total + arrivals
        await self.until(lambda report: report.total >= wanted)

    def _parsed(self, line: bytes) -> Tally:
        return Tally.from_json(line)
