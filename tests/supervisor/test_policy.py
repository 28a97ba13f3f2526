"""Settings, and the variables that Server::Starter honours."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.errors import ConfigError
from dewy.supervisor.policy import Policy

SETTINGS = Settings(
    command="server", root=Path(), cache_dir=Path(), stop_timeout=9, health_path="/up"
)


def test_settings_are_taken_over():
    policy = Policy.of(SETTINGS, {})

    assert (9, "/up", 0, 0) == (
        policy.stop_timeout,
        policy.health_path,
        policy.kill_old_delay,
        policy.auto_restart,
    )


def test_kill_old_delay_comes_from_the_environment():
    assert 2.5 == Policy.of(SETTINGS, {"KILL_OLD_DELAY": "2.5"}).kill_old_delay


def test_auto_restart_brings_its_own_delays():
    policy = Policy.of(SETTINGS, {"ENABLE_AUTO_RESTART": "1"})

    assert (5, 360) == (policy.kill_old_delay, policy.auto_restart)


def test_the_auto_restart_interval_can_be_chosen():
    policy = Policy.of(
        SETTINGS, {"ENABLE_AUTO_RESTART": "1", "AUTO_RESTART_INTERVAL": "60"}
    )

    assert 60 == policy.auto_restart


@pytest.mark.parametrize("value", ["soon", "-1"])
def test_a_delay_that_is_no_number_is_refused(value: str):
    with pytest.raises(ConfigError, match=f"KILL_OLD_DELAY='{value}'"):
        Policy.of(SETTINGS, {"KILL_OLD_DELAY": value})


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_delay_without_an_end_is_refused(value: str):
    with pytest.raises(ConfigError, match=f"KILL_OLD_DELAY='{value}'"):
        Policy.of(SETTINGS, {"KILL_OLD_DELAY": value})


@pytest.mark.parametrize("value", ["", "0"])
def test_auto_restart_can_be_said_to_be_off(value: str):
    """In Server::Starter, as in Perl, 0 means no."""
    policy = Policy.of(SETTINGS, {"ENABLE_AUTO_RESTART": value})

    assert (0, 0) == (policy.kill_old_delay, policy.auto_restart)
