"""A stand-in for the HTTP APIs of dewys: what is answered, by port and path."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from dewy.admin.http import HOST, PORTS_TRIED

Answers = Mapping[str, Any]


@contextmanager
def admin_apis(*apis: Answers | None) -> Iterator[int]:
    """
    Serve each of *apis* on a port of its own, one after the other; the first port.

    None leaves a port without one.
    """
    with ExitStack() as stack:
        yield _serve(apis, stack)


def _serve(apis: tuple[Answers | None, ...], stack: ExitStack) -> int:
    for _ in range(100):
        first = _first()
        with ExitStack() as attempt:
            try:
                servers = [
                    attempt.enter_context(HTTPServer((HOST, port), _handler(answers)))
                    for port, answers in enumerate(apis, first)
                    if answers is not None
                ]
            except OSError:
                continue
            stack.push(attempt.pop_all())
        for server in servers:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        return first
    raise AssertionError("no ports in a row are free")


def _first() -> int:
    """Below the ports that the kernel gives away by itself: a row of those is rare."""
    return random.randrange(20_000, 32_000 - PORTS_TRIED)


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def status(command: int, **more: Any) -> dict[str, Any]:
    """What a dewy tells of itself at the least, as the original did."""
    return {
        "command": command,
        "current_version": "",
        "is_running": False,
        "name": "",
        "proxy_backends": 0,
        **more,
    }
