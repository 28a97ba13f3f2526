"""The systemd units we ship are ones systemd understands, and they fit dewy."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from dewy.config import Settings, resolve
from tests.needs import needs

UNITS = Path(__file__).parent.parent / "contrib" / "systemd"


SERVICES = ["dewy@", "dewy-container@"]


def section(name: str, title: str) -> configparser.SectionProxy:
    """What the unit file *name* says under *title*."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read_string((UNITS / name).read_text(encoding="utf-8"))
    return unit[title]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> configparser.SectionProxy:
    """What a service says about running dewy."""
    return section(f"{request.param}.service", "Service")


@needs("systemd-analyze")
@pytest.mark.parametrize("kind", ["service", "socket"])
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_accepts_the_unit(name: str, kind: str, tmp_path: Path) -> None:
    """No unknown setting, no value it would ignore, no unit that is missing."""
    copy_units(tmp_path)

    assert (0, "") == verified(tmp_path / f"{name}shop.{kind}")


def copy_units(into: Path) -> None:
    """With a program that is on every host."""
    for unit in UNITS.glob("dewy*@.*"):
        text = unit.read_text(encoding="utf-8")
        runnable = text.replace("/usr/local/bin/dewy", "/bin/true")
        (into / unit.name).write_text(runnable, encoding="utf-8")


def verified(unit: Path) -> tuple[int, str]:
    """What systemd says of *unit*, and its exit status."""
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stderr


def example_of_a_proxy(kind: str) -> str:
    """The block of *kind* in the section of the how-to about `dewy proxy`."""
    page = UNITS.parent.parent / "docs" / "how-to" / "systemd.md"
    section = page.read_text(encoding="utf-8").partition("\n## A proxy\n")[2]
    return section.partition(f"```{kind}\n")[2].partition("```")[0]


@needs("systemd-analyze")
def test_systemd_accepts_the_unit_of_a_proxy(tmp_path: Path) -> None:
    """The template with the drop-in of the how-to."""
    copy_units(tmp_path)
    drop_in = tmp_path / "dewy@edge.service.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(example_of_a_proxy("ini"), encoding="utf-8")

    assert "LimitNOFILE=" in drop_in.read_text(encoding="utf-8")
    assert (0, "") == verified(tmp_path / "dewy@edge.service")


def test_options_of_a_proxy_in_the_how_to_are_right(tmp_path: Path) -> None:
    (tmp_path / "dewy.toml").write_text(example_of_a_proxy("toml"), encoding="utf-8")
    drop_in = configparser.RawConfigParser(strict=False)
    drop_in.read_string(example_of_a_proxy("ini"))
    found = resolve("proxy", {}, {}, tmp_path)

    assert (1, 2) == (len(found.listen), len(found.backends))
    assert found.drain_time < float(drop_in["Service"]["TimeoutStopSec"])


def test_service_waits_longer_than_a_program_may_take_to_stop(
    service: configparser.SectionProxy,
) -> None:
    """systemd must not kill a program that dewy is still letting finish."""
    usual = Settings(command="server", root=Path(), cache_dir=Path())

    most = max(2 * usual.stop_timeout, usual.drain_time + usual.stop_timeout)
    assert most < float(service["TimeoutStopSec"])
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


def test_service_is_reloaded_by_the_command_that_reports_mistakes(
    service: configparser.SectionProxy,
) -> None:
    """A signal would always succeed."""
    assert "/usr/local/bin/dewy reload" == service["ExecReload"]


def test_unit_of_the_page_on_signals_agrees_with_the_services(
    service: configparser.SectionProxy,
) -> None:
    page = UNITS.parent.parent / "docs" / "reference" / "signals.md"
    text = page.read_text(encoding="utf-8").partition("```ini\n")[2].partition("```")[0]
    shown = configparser.RawConfigParser()
    shown.optionxform = str  # type: ignore[method-assign, assignment]
    shown.read_string(text)

    assert 5 < len(shown["Service"])
    assert dict(shown["Service"]) == {key: service[key] for key in shown["Service"]}


def test_containers_outlive_dewy() -> None:
    """And two dewys of one user see each other's lock, whatever /tmp they have."""
    text = (UNITS / "dewy-container@.service").read_text(encoding="utf-8")

    assert "\nEnvironment=DEWY_ON_EXIT=leave\n" in text
    assert "\nEnvironment=XDG_RUNTIME_DIR=%t/dewy\n" in text
    assert "\nRuntimeDirectory=dewy\nRuntimeDirectoryPreserve=yes\n" in text


def test_engine_is_started_first_and_may_be_restarted() -> None:
    unit = section("dewy-container@.service", "Unit")

    assert "docker.service" == unit["Wants"]
    assert "docker.service" in unit["After"].split()
    assert not {"Requires", "BindsTo", "PartOf"} & unit.keys()


def test_ports_of_containers_are_those_that_port_opens() -> None:
    """IPv4 and IPv6, with a queue that lasts for a restart."""
    ports = section("dewy-container@.socket", "Socket")

    assert ("8080", "both") == (ports["ListenStream"], ports["BindIPv6Only"])
    assert 4096 <= int(ports["Backlog"])


@pytest.mark.parametrize("path", ["ansible/dewy.yml", "chef/recipes/default.rb"])
def test_recipe_installs_every_unit_and_dewy_by_no_name(path: str) -> None:
    """On the public index the name is another project's."""
    text = (UNITS.parent / path).read_text(encoding="utf-8")
    installed = set(re.findall(r"dewy[-\w]*@\.(?:service|socket)", text))

    assert {unit.name for unit in UNITS.glob("*@.*")} == installed
    assert [] == re.findall(r"install[\"', \n-]+dewy\b", text)
