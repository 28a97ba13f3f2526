"""What a host wants of any registry."""

from __future__ import annotations

from dewy.versions import Platform, Selection


def test_a_host_wants_any_slot_on_its_own_platform() -> None:
    assert Selection("", Platform.here()) == Selection()


def test_a_host_that_only_looks_keeps_no_reports() -> None:
    assert Selection().reports is None
