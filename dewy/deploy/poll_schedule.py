"""The wait between two looks at the registry (pure)."""

from __future__ import annotations

JITTER = 0.1


def next_poll(
    interval: float,
    failures: int,
    longest: float,
    retry_after: float | None,
    random: float,
) -> float:
    """
    Seconds until the next poll.

    A tenth of the interval is jitter, so that hosts started together drift
    apart. From the second failure in a row the delay doubles up to *longest*
    (0: no back-off), half of what it adds being random. What a remote asked for
    (*retry_after*) is a floor. *random* runs from 0 to 1.
    """
    delay = interval * (1 - JITTER + 2 * JITTER * random)
    if failures >= 2 and longest > interval:
        grown = min(interval * 2.0 ** min(failures - 1, 32), longest)
        delay = interval + (grown - interval) * (0.5 + 0.5 * random)
    return max(delay, (retry_after or 0.0) + interval * JITTER * random)
