"""The unit that starts dewy in a root."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.checks.finding import Finding, Level
from dewy.checks.host import unit_findings
from dewy.config import Settings

GOOD = """[Service]
WorkingDirectory={root}
ExecStart=/bin/sh /usr/local/bin/dewy server \\
  --registry ghr://acme/shop -- current/shop
Type=notify
KillMode=mixed
Restart=on-failure
TimeoutStopSec=1min 30s
"""


def judged(root: Path, **units: str) -> list[Finding]:
    place = root / "units"
    place.mkdir()
    for name, text in units.items():
        written = text.format(root=root)
        (place / f"{name.replace('_', '@')}.service").write_text(written)
    settings = Settings(command="server", root=root, cache_dir=root)
    return list(unit_findings(settings, [place, root / "nowhere"]))


def test_unit_with_required_settings_is_ok(tmp_path: Path) -> None:
    """Found by its working directory."""
    (found,) = judged(tmp_path, shop=GOOD)

    assert (Level.OK, "shop.service starts it") == (found.level, found.text)


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("Type=notify", "Type=simple", "when dewy is ready"),
        ("KillMode=mixed", "KillMode=process", "leaves programs behind"),
        ("Restart=on-failure", "", "is not started again"),
        ("/bin/sh ", "/no/such ", "does not exist"),
    ],
)
def test_settings_that_dewy_needs_otherwise_are_told(
    tmp_path: Path, right: str, wrong: str, text: str
) -> None:
    """With what to write."""
    (found,) = judged(tmp_path, shop=GOOD.replace(right, wrong))

    assert text in found.text
    assert found.advice


def test_two_units_of_a_root_are_told(tmp_path: Path) -> None:
    """The original's and ours, say."""
    found = judged(tmp_path, shop=GOOD, old=GOOD)

    assert "old.service and shop.service work in" in found[0].text


def test_template_units_are_not_reported_as_duplicates(tmp_path: Path) -> None:
    """contrib/systemd has two, of which a root uses one."""
    template = GOOD.replace("server", "$ARGUMENTS")
    found = judged(tmp_path, dewy_=template, web_=template)

    assert {Level.OK} == {each.level for each in found}


def test_unit_of_another_command_is_left_alone(tmp_path: Path) -> None:
    containers = GOOD.replace("server", "container")
    (found,) = judged(tmp_path, dewy_=GOOD, dewy_container_=containers)

    assert "dewy@.service starts it" == found.text


def test_units_of_others_are_left_alone(tmp_path: Path) -> None:
    """Other roots, other programs; templates are tried."""
    elsewhere = GOOD.replace("{root}", "/srv/other")
    nginx = GOOD.replace("dewy", "nginx")
    template = GOOD.replace("{root}", str(tmp_path.parent) + "/%i")
    (found,) = judged(tmp_path, a=elsewhere, b=nginx, dewy_=template)

    assert "dewy@.service starts it" == found.text
