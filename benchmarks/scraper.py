"""Asking a dewy for its metrics while it is measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

from .processes import HOST

INTERVAL = 1.0
"""Seconds between two scrapes; Prometheus' own default is a minute."""


@contextmanager
def scraping(port: int) -> Iterator[None]:
    """
    Scrape whoever has its HTTP API at *port*, while the block lasts.

    Raises:
        RuntimeError: it never answered, so that nothing was measured.
    """
    over, answers = threading.Event(), [0]

    def scrape() -> None:
        while not over.wait(INTERVAL):
            connection = HTTPConnection(HOST, port, timeout=30)
            try:
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                if b"dewy_proxy_connections_total" in answer.read():
                    answers[0] += 1
            except OSError:
                pass  # it is still starting, or was killed
            finally:
                connection.close()

    thread = threading.Thread(target=scrape, name="scraper")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if not answers[0]:
        raise RuntimeError("nothing was scraped")
