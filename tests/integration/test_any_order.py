"""
Events in any order: verbs, deaths, health, `kill -9` and a slow engine, interleaved.

What status says is what serves; a hold is never followed by a newer version; a
version in quarantine never starts; something good always ends up serving.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from dewy import boot
from dewy.daemon import container
from tests.standins.any_order import live
from tests.standins.virtual_time import run

BATCHES, EVENTS = 10, 14


# A `kill -9` that is played within one process closes no connections.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("batch", range(BATCHES))
def test_events_in_any_order_keep_the_promises(
    batch: int, soak: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "StateFile", boot.StateFile)
    monkeypatch.setattr(container, "open_engine", container.open_engine)
    monkeypatch.setattr("dewy.system.raise_descriptor_limit", lambda: None)
    sequences = (10_000 if soak else 300) // BATCHES
    for seed in range(batch * sequences, (batch + 1) * sequences):
        root = tmp_path / str(seed)
        (root / ".dewy").mkdir(parents=True)
        run(live(root, seed, EVENTS))
    gc.collect()
