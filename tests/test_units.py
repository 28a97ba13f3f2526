"""The systemd units we ship are ones systemd understands, and they fit dewy."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

from dewy.config import Settings
from tests.needs import needs

UNITS = Path(__file__).parent.parent / "contrib" / "systemd"


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    """What `dewy@.service` says about running dewy."""
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read_string((UNITS / "dewy@.service").read_text(encoding="utf-8"))
    return unit["Service"]


@needs("systemd-analyze")
@pytest.mark.parametrize("instance", ["dewy@shop.service", "dewy@shop.socket"])
def test_systemd_accepts_the_unit(instance: str, tmp_path: Path) -> None:
    """No unknown setting, no value it would ignore, no unit that is missing."""
    for unit in UNITS.glob("dewy@.*"):
        text = unit.read_text(encoding="utf-8")
        runnable = text.replace("/usr/local/bin/dewy", "/bin/true")
        (tmp_path / unit.name).write_text(runnable, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / instance],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "" == verified.stderr
    assert 0 == verified.returncode


def test_service_waits_longer_than_a_program_may_take_to_stop(
    service: configparser.SectionProxy,
) -> None:
    """systemd must not kill a program that dewy is still letting finish."""
    stop = Settings(command="server", root=Path(), cache_dir=Path()).stop_timeout

    assert 2 * stop < float(service["TimeoutStopSec"])
    assert "mixed" == service["KillMode"]


def test_service_is_not_restarted_over_a_mistake_in_its_configuration(
    service: configparser.SectionProxy,
) -> None:
    """Exit status 2 asks for a person."""
    assert "on-failure" == service["Restart"]
    assert "2" == service["RestartPreventExitStatus"]


def test_service_is_ready_when_dewy_says_so(
    service: configparser.SectionProxy,
) -> None:
    """And only dewy says so: what its program tells goes to dewy."""
    assert "notify" == service["Type"]
    assert "main" == service["NotifyAccess"]
