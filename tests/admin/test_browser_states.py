"""States of the page in a browser: never better than it is, never older unsaid."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from dewy.admin.http import AdminAPI
from dewy.admin.proxy_status import proxy_status
from dewy.admin.status import ProcessStatus
from dewy.deploy.state import State
from dewy.proxy import Endpoint, Proxy
from tests.needs import needs
from tests.standins import shown
from tests.standins.chromium import Tab
from tests.standins.contrast import CONTRAST
from tests.standins.pages import api, visit

pytestmark = needs("chromium")

TONE = "document.querySelector('#health').dataset.tone"
STALE = "'stale' in document.documentElement.dataset"
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
CLIPPED = "(it => it.scrollWidth - it.clientWidth)(document.querySelector('.table'))"
LINES = """
(() => {{ const range = document.createRange();
  const cell = [...document.querySelectorAll("td.address")]
    .find(node => node.textContent.startsWith("{0}"));
  range.setStart(cell.firstChild, 0); range.setEnd(cell.firstChild, "{0}".length);
  return range.getClientRects().length }})()
"""
"""Lines that the text of an address takes."""
GAPS = "document.querySelector('.line').getAttribute('d').split('M').length - 2"
LATER = "(() => {{ const real = Date.now; Date.now = () => real() + {} }})()"
COLOURS = """
[...document.querySelectorAll("[data-tone], section, path, progress")]
  .filter(node => node.checkVisibility())
  .flatMap(node => { const it = getComputedStyle(node);
    return [it.color, it.backgroundColor, it.borderLeftColor] })
  .map(text => text.match(/[\\d.]+/g).map(Number))
  .filter(([r, g, b, a]) => a !== 0)
  .reduce((most, [r, g, b]) => Math.max(most, Math.max(r, g, b) - Math.min(r, g, b)), 0)
"""
"""How far from grey the most colourful of what has a meaning by its colour is."""

OF_PYTHON = re.compile(r"\b(None|True|False|undefined|NaN|null)\b|\[object|<\w+ |0x")


def rolled_out() -> shown.Status:
    """All replicas serve one version, and well."""
    told = shown.rolling()
    told.update(underway=None, healthy=True, degraded=[], quarantine=[])
    told["replicas"] = [shown.replica(n, "v2.3.1", "serving") for n in (1, 2, 3)]
    return told


def mixed() -> shown.Status:
    """Replicas of two versions serve, though nothing is said to be under way."""
    told = rolled_out()
    told["replicas"][0]["version"] = "v2.4.0"
    return told


def starting() -> shown.Status:
    told = rolled_out()
    told["replicas"][0]["phase"] = "starting"
    return told


def deploying(action: str = "deploy") -> shown.Status:
    underway = {**shown.rolling()["underway"], "action": action}
    return {**rolled_out(), "underway": underway}


def failing() -> shown.Status:
    """A release that failed, as four sources have it."""
    told = rolled_out()
    told["quarantine"] = shown.rolling()["quarantine"]
    bad = "v2.3.2 is in quarantine until 2026-03-02 09:02:12 UTC"
    told["degraded"] = [
        f"the last deployment failed: {shown.REASON}",
        f"{bad}: {shown.REASON}",
    ]
    return {**told, "healthy": False, "last_error": shown.REASON}


@pytest.mark.parametrize(
    ("told", "badge", "tone"),
    [
        (rolled_out(), "healthy", "good"),
        (deploying(), "deploying", "busy"),
        (deploying("rollback"), "rolling back", "busy"),
        (deploying("reload"), "replacing replicas", "busy"),
        (mixed(), "rolling out", "busy"),
        (starting(), "starting", "busy"),
        ({**rolled_out(), "probation": 12.0}, "on probation", "busy"),
        ({**rolled_out(), "attention": ["held"]}, "attention", "warn"),
        (failing(), "degraded", "bad"),
        ({**failing(), **deploying()}, "deploying", "busy"),
        (shown.rolling(), "deploying, degraded", "bad"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_badge_says_healthy_only_when_nothing_changes(
    page: Tab, port: int, told: shown.Status, badge: str, tone: str
) -> None:
    async with api(port, told) as it:
        await visit(page, it)

        assert (badge, tone) == (await page.text("#health"), await page.ask(TONE))
    assert [] == page.complaints


async def test_hold_and_rollback_are_attention_and_no_problem(
    page: Tab, port: int
) -> None:
    told = {**rolled_out(), "hold": True, "paused": True, "probation": None}
    told["attention"] = ["held; `dewy unhold` ends it", "v2.4.0 was rolled back"]
    async with api(port, told) as it:
        await visit(page, it)

        assert not await page.visible("#problems")
        assert "held; dewy unhold ends it" in await page.text("#attention")
        release = await page.text("#runs")
        assert re.search(r"Hold\s+yes: .*dewy unhold", release)
        assert re.search(r"Pause\s+yes: .*dewy resume", release)


async def test_reason_stands_once_with_the_command_that_tells_more(
    page: Tab, port: int
) -> None:
    async with api(port, failing()) as it:
        await visit(page, it)
        problems, whole = await page.text("#problems"), await page.text("body")

        assert 1 == whole.count(shown.REASON)
        assert 1 == whole.count("dewy why v2.3.2")
        assert f"{shown.REASON}; dewy why v2.3.2 shows what it wrote" in problems
        assert "UTC" not in problems
        assert "see Problems" in await page.text("#quarantine")
        assert "at start: see Problems" in await page.text("#history")


async def test_equal_failures_in_a_row_say_their_reason_once(
    page: Tab, port: int
) -> None:
    failed, *rest = shown.past()
    several = [{**failed, "at": failed["at"] + n} for n in (3, 2, 1)]
    async with api(port, rolled_out(), past=lambda: [*several, *rest]) as it:
        await visit(page, it)
        history = await page.text("#history")

        assert 1 == history.count(shown.REASON)
        assert 2 == history.count("see the one above")


async def test_short_reason_is_repeated_in_place_of_link(page: Tab, port: int) -> None:
    first, second, *rest = shown.past()
    said = {"outcome": "deployed", "reason": "asked for by operator"}
    past = [{**first, **said}, {**second, **said}, *rest]
    async with api(port, rolled_out(), past=lambda: past) as it:
        await visit(page, it)
        history = await page.text("#history")

        assert 2 == history.count("asked for by operator")
        assert "see" not in history


async def test_words_of_a_program_are_offered_where_there_are_some(
    page: Tab, port: int
) -> None:
    told = failing()
    told["quarantine"][0]["detail"] = ""
    past = [{**each, "wrote": False} for each in shown.past()]
    async with api(port, told, past=lambda: past) as it:
        await visit(page, it)
        whole = await page.text("body")

        assert shown.REASON in whole
        assert "dewy why" not in whole


async def test_badge_of_probation_names_needed_attention(page: Tab, port: int) -> None:
    told = {**rolled_out(), "probation": 20.0, "paused": True}
    told["attention"] = ["new connections are paused; `dewy resume` ends it"]
    async with api(port, told) as it:
        await visit(page, it)

        assert "on probation, paused" == await page.text("#health")
        assert "warn" == await page.ask(TONE)


@pytest.mark.parametrize("width", [800, 960, 1000, 1125, 1200])
async def test_address_of_a_replica_breaks_at_no_other_place_than_a_space(
    page: Tab, port: int, width: int
) -> None:
    """Or a port of 8080 looks like one of 80."""
    told = rolled_out()
    told["replicas"][0]["upstream"] = "172.16.208.104:58080"
    async with api(port, told) as it:
        await page.look(width=width)
        await visit(page, it)

        assert 1 == await page.ask(LINES.format("172.16.208.104:58080"))
        assert 0 >= await page.ask(CLIPPED)
        assert 0 >= await page.ask(TOO_WIDE)


async def test_history_has_start_and_end(page: Tab, port: int) -> None:
    async with api(port, rolled_out()) as it:
        await visit(page, it)
        span = r"\d\d:\d\d:\d\d – (.* )?\d\d:\d\d:\d\d \(21s\), from v2.3.1"

        assert re.search(span, await page.text("#history li"))
        assert re.search(r"local \(UTC, GMT\+00:00\)", await page.text("footer"))


async def test_lost_connection_greys_page_until_reconnect(page: Tab, port: int) -> None:
    async with api(port, shown.rolling()) as it:
        await visit(page, it)
        await page.until(f"{GAPS} == 0")
        assert 40 < await page.ask(COLOURS)
    await page.sees("#health", r"/^no connection, last data .*\d\d:\d\d:\d\d$/")
    assert await page.ask(STALE)
    await page.look(width=390)
    assert 0 >= await page.ask(TOO_WIDE)
    await page.look()
    # The greys of both schemes have a touch of blue.
    assert 40 > await page.ask(COLOURS)
    assert 4.5 <= await page.ask(CONTRAST)
    assert "No connection to dewy; what is shown is of" in await page.text("#link")
    assert "no connection" in await page.ask("document.title")
    await page.look(dark=True)
    assert 4.5 <= await page.ask(CONTRAST)

    told = rolled_out()
    told["running"]["tag"] = "v2.3.9"
    async with api(it.port, told):
        await page.sees("#runs", "/v2.3.9/")
        assert not await page.ask(STALE)
        assert ("Live", "healthy") == (
            await page.text("#link"),
            await page.text("#health"),
        )
        # What nobody knows is no zero.
        await page.until(f"{GAPS} >= 1")


async def test_dewy_that_hangs_is_a_lost_connection(page: Tab, port: int) -> None:
    """No error tells of it, as of a tunnel that broke."""
    goes_on = asyncio.Event()
    goes_on.set()

    async def tell() -> dict[str, Any]:
        await goes_on.wait()
        return rolled_out()

    async with AdminAPI(port, tell, past=shown.past) as it:
        await visit(page, it)
        goes_on.clear()
        await page.ask(LATER.format(60_000))
        await page.sees("#health", "/^no connection, last data/")
        assert await page.ask(STALE)
        goes_on.set()
        await page.ask(LATER.format(60_000))
        await page.sees("#health", "/^healthy$/")
        assert not await page.ask(STALE)


async def test_graph_has_a_scale_of_its_own(page: Tab, port: int) -> None:
    async with api(port, rolled_out()) as it:
        await visit(page, it)
        await page.sees(".scale", r"/^[1-9]\d*\s+[\d.]+\s+0$/")
        top, half, none = map(float, (await page.text(".scale")).split())
        label = await page.ask(
            "document.querySelector('#graph').getAttribute('aria-label')"
        )

        assert (top / 2, 0) == (half, none)
        assert str(top)[0] in "125"
        assert "Conn/s" == await page.text("figcaption")
        assert "2 min ago" in await page.text(".times")
        assert "Connections per second over the last two minutes" in label


async def test_first_deployment_is_seen(page: Tab, port: int) -> None:
    underway = {**shown.rolling()["underway"], "previous": "", "step": "fetch"}
    underway["progress"] = "fetching v1: 15.0 of 30.0 MiB (50%)"
    process = ProcessStatus(
        7, underway=underway, desired_replicas=3, ports=shown.proxied()
    )
    told = shown.told("container", State(), process, time.time())
    async with api(port, told) as it:
        await visit(page, it)

        assert "nothing is deployed yet" in await page.text("#runs")
        assert "fetching v1: 15.0 of 30.0 MiB (50%)" == await page.text("#step")
        assert not await page.visible("#reached")
        assert not OF_PYTHON.search(await page.text("body"))
    assert [] == page.complaints


async def test_proxy_alone_is_seen(page: Tab, port: int) -> None:
    """Neither a release nor a history is missed where nothing is deployed."""
    async with Proxy(threads=0) as proxy:
        listening = await proxy.open(Endpoint("127.0.0.1", 0))
        listening.add(Endpoint("127.0.0.1", 7))
        listening.add(Endpoint("127.0.0.1", 9)).eject()

        async def tell() -> dict[str, Any]:
            return proxy_status(proxy.ports, name="edge", root="/srv/edge", pid=7)

        async with AdminAPI(port, tell) as it:
            await page.go(f"http://localhost:{it.port}/")
            await page.sees("#health", "/^degraded$/")
            assert "dewy proxy" in await page.text("#about")
            assert re.search(
                r"Proxy\s+Address\s+127.0.0.1:\d+", await page.text("main")
            )
            assert "1 of 2 serve" in await page.text("#runs")
            problem = "backend 127.0.0.1:9 does not answer"
            assert problem in await page.text("#problems")
            backends = await page.text("#backends")
            assert re.search(r"127.0.0.1:9\s.*\sejected\s", backends, re.DOTALL)
            for absent in ("#past", "#previous", "#replicas", "#program"):
                assert not await page.visible(absent)
            assert await page.visible("#graph")
            assert not OF_PYTHON.search(await page.text("body"))
    assert [] == page.complaints


@pytest.mark.parametrize(
    "told",
    [
        shown.rolling(),
        shown.serving(),
        rolled_out(),
        failing(),
        deploying("reload"),
        {**shown.serving(), "command": "assets", "generations": [], "deaths": None},
        {**shown.serving(), "next_poll": None, "last_poll": None, "previous": None},
    ],
)
async def test_page_shows_no_value_of_a_language(
    page: Tab, port: int, told: shown.Status
) -> None:
    async with api(port, told) as it:
        await visit(page, it)

        assert not OF_PYTHON.search(await page.text("body"))
    assert [] == page.complaints
