"""The status of a `dewy proxy`, as people read it."""

from __future__ import annotations

from typing import Any

from dewy.cli.status import proxy_lines


def port(address: str, **more: Any) -> dict[str, Any]:
    counted = {"connections": 1, "connections_total": 7, "errors": 0}
    return {"address": address, **counted, **more}


def backend(address: str, **more: Any) -> dict[str, Any]:
    counted = {"connections": 1, "connections_total": 7}
    return {"address": address, "port": "80", "state": "serving", **counted, **more}


def test_ports_and_backends_have_a_line_each() -> None:
    backends = [backend("127.0.0.1:1"), backend("127.0.0.1:2", state="ejected")]
    lines = proxy_lines({"ports": [port("80", errors=3)], "backends": backends})
    assert ["port", "80", "1", "connections", "7", "in", "all", "3", "errors"] == (
        lines[0].split()
    )
    assert "ejected" in lines[2]
    assert "for port" not in lines[1]


def test_backends_of_several_ports_name_theirs() -> None:
    status = {"ports": [port("80"), port("81")], "backends": [backend("127.0.0.1:1")]}
    assert proxy_lines(status)[2].endswith("for port 80")


def test_proxy_without_ports_has_no_lines() -> None:
    assert [] == proxy_lines({"ports": [], "backends": []})
