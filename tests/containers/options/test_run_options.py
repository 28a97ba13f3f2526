"""The table of options that are taken."""

from __future__ import annotations

import pytest

from dewy.containers.options.run_options import (
    ALIASES,
    REFUSED,
    REFUSED_SHORTS,
    RUN_OPTIONS,
    SHORTS,
    RunOption,
)


@pytest.mark.parametrize("option", RUN_OPTIONS.values(), ids=lambda o: o.name)
def test_option_is_explained(option: RunOption) -> None:
    """In the reference, and in as few words as it takes."""
    assert option.help
    assert not option.help.endswith(".")


def test_no_option_is_both_taken_and_refused() -> None:
    """By its name, its letter or an older name."""
    assert not RUN_OPTIONS.keys() & REFUSED.keys()
    assert not SHORTS.keys() & REFUSED_SHORTS.keys()
    assert set(ALIASES.values()) <= RUN_OPTIONS.keys()
    assert not ALIASES.keys() & RUN_OPTIONS.keys()


def test_secrets_are_marked() -> None:
    """Errors about these do not tell their values."""
    secret = {option.name for option in RUN_OPTIONS.values() if option.secret}

    assert {"env", "label", "log-opt", "health-cmd", "mount"} == secret
