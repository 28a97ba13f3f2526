"""The dashboard and the alert rules: about what is told, and as Prometheus reads it."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dewy.telemetry.instruments import INSTRUMENTS, MetricKind
from dewy.telemetry.points import Point
from tests.needs import found, needs

if found("telemetry"):
    from opentelemetry.sdk.resources import Resource

    from dewy.telemetry.model import Model
    from dewy.telemetry.opening import Exposition
    from tests.standins.scrapes import names, parsed

ROOT = Path(__file__).parent.parent.parent
CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "dewy.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "dewy.json"

# Wheels may be tested without the rest of the checkout.
pytestmark = pytest.mark.skipif(not CONTRIB.is_dir(), reason="contrib is elsewhere")


def expressions() -> Iterator[str]:
    """Every query of the dashboard, with its variables filled in."""
    board = json.loads(DASHBOARD.read_text())
    queries = [each["expr"] for each in board["annotations"]["list"]]
    for panel in board["panels"]:
        queries += [target["expr"] for target in panel.get("targets", ())]
    for query in queries:
        yield query.replace("$instance", ".*").replace("$__rate_interval", "1m")


@pytest.fixture
def told(points: list[Point]) -> set[str]:
    """The names of all series that a scrape can tell."""
    return names(parsed(Exposition().text(Model(Resource({})).made(points))))


@needs("telemetry")
def test_dashboard_and_rules_query_only_existing_metrics(told: set[str]) -> None:
    """A panel or a rule about something else would never show anything."""
    text = "\n".join([*expressions(), RULES.read_text()])
    asked = set(re.findall(r"\bdewy_\w+", text))

    assert len(asked) > 30
    assert set() == asked - told


@needs("telemetry")
def test_dashboard_shows_every_metric(told: set[str]) -> None:
    """Whatever is counted can be looked at."""
    text = "\n".join(expressions())
    shown = {re.sub(r"_(?:bucket|count|sum)$", "", n) for n in told if n in text}
    counted = {re.sub(r"_(?:bucket|count|sum)$", "", n) for n in told}

    assert {"target_info"} == counted - shown


def test_panels_do_not_overlap() -> None:
    """Each has a number and a place of its own."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({*places}) == len(places)
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@needs("promtool")
def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query}
        for number, query in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


@needs("promtool")
def test_rules_alert_when_they_should() -> None:
    """And only then: `dewy.rules.test.yml` says when."""
    tests = RULES.with_name("dewy.rules.test.yml")
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())

    assert f"{len(alerts)} rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", tests)
    assert [] == [each for each in alerts if each not in tests.read_text()]


@needs("telemetry", "promtool")
def test_names_and_help_are_to_prometheus_taste(points: list[Point]) -> None:
    """It says nothing where it likes them."""
    text = Exposition().text(Model(Resource({"service.name": "dewy"})).made(points))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60
    )

    assert (0, b"") == (done.returncode, done.stdout + done.stderr)


@needs("telemetry")
def test_names_in_the_documentation_are_those_of_a_scrape(told: set[str]) -> None:
    """It makes them by itself."""
    script = runpy.run_path(str(ROOT / "dev" / "write-reference"))
    name: Callable[[Any], str] = script["prometheus"]
    documented = {
        name(each) + ("_bucket" if each.kind is MetricKind.HISTOGRAM else "")
        for each in INSTRUMENTS.values()
    }

    assert set() == documented - told
