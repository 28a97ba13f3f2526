"""What is known of a notifier."""

from __future__ import annotations

from dewy.notifiers.queue import Health


def test_target_is_proven_by_its_last_attempt() -> None:
    health = Health()
    assert not health.proven
    health.fail("answered 500")
    assert (False, "answered 500") == (health.proven, health.problem)
    health.succeed()
    assert (True, "") == (health.proven, health.problem)
    health.fail("answered 500")

    assert not health.proven
    assert (1, 2) == (health.delivered, health.failed)
