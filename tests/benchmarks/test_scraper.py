"""Asking for metrics while something is measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks import scraper
from benchmarks.scraper import scraping


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper, "INTERVAL", 0.01)


class Metrics(BaseHTTPRequestHandler):
    asked = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"dewy_proxy_connections_total 1\n")
        self.asked.set()

    def log_message(self, *given: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_somebody_is_asked_meanwhile(port: int) -> None:
    with scraping(port):
        assert Metrics.asked.wait(60)
        Metrics.asked.clear()
        assert Metrics.asked.wait(60)


def test_measuring_nothing_is_no_measurement(unused_tcp_port: int) -> None:
    """A row of the gate would pass for want of what it is about."""
    with (
        pytest.raises(RuntimeError, match="nothing was scraped"),
        scraping(unused_tcp_port),
    ):
        pass
