"""Layers as they come, in the words of both engines."""

from __future__ import annotations

from typing import Any

from dewy.containers.engines.docker_images import Layers


def line(name: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": name, "status": status, "progressDetail": detail}


def told(*lines: dict[str, Any]) -> list[tuple[int, int | None]]:
    layers = Layers()
    return [(layers.done, layers.total) for item in lines if layers.feed(item)]


def test_total_is_known_once_every_layer_is() -> None:
    assert [(10, None), (10, 150), (60, 150), (110, 150), (150, 150)] == told(
        line("a", "Pulling fs layer"),
        line("b", "Pulling fs layer"),
        line("a", "Downloading", 10, 100),
        line("b", "Downloading", 0, 50),
        line("b", "Download complete"),
        line("a", "Downloading", 60, 100),
        line("a", "Pull complete"),
    )


def test_layer_that_is_here_already_costs_nothing() -> None:
    assert [(0, 0), (0, None), (7, 7)] == told(
        line("a", "Already exists"),
        line("b", "Pulling fs layer"),
        line("b", "Downloading", 7, 7),
    )


def test_layer_that_is_tried_again_takes_nothing_back() -> None:
    done = [
        step[0]
        for step in told(
            line("a", "Downloading", 80, 100),
            line("a", "Downloading", 5, 100),
            line("a", "Downloading", 90, 100),
        )
    ]

    assert [80, 90] == done


def test_unpacking_and_other_lines_are_no_progress() -> None:
    layers = Layers()
    layers.feed(line("a", "Downloading", 100, 100))

    assert not layers.feed(line("a", "Extracting", 50, 100))
    assert not layers.feed({"status": "Pulling from team/api", "id": "v1"})
    assert not layers.feed({"status": "Digest: sha256:aa"})
    assert not layers.feed({"id": 5})
    assert (100, 100) == (layers.done, layers.total)
