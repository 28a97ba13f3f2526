"""
The page in a browser, as people meet it.

`DEWY_TEST_SCREENSHOTS=1` writes the pictures of the documentation anew.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from dewy.admin.http import AdminAPI
from dewy.admin.status import ProcessStatus
from tests.needs import needs
from tests.standins import shown
from tests.standins.browsing import until_nobody_looks
from tests.standins.chromium import ELSEWHERE, Tab, tab
from tests.standins.contrast import CONTRAST
from tests.standins.crews import benched
from tests.standins.pages import api, visit
from tests.standins.pictures import small

pytestmark = needs("chromium")

PICTURES = bool(os.environ.get("DEWY_TEST_SCREENSHOTS"))
DOCS = Path(__file__).parents[2] / "docs"
LARGEST_PICTURE = 150_000
PICTURED = ["page-light.png", "page-dark.png", "page-phone.png", "page-server.png"]

SQUARES = "document.querySelectorAll('.squares i').length"
LINE = "document.querySelector('.line').getAttribute('d')"
HIDE = "document.hidden = {}; document.dispatchEvent(new Event('visibilitychange'))"
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"


async def picture(page: Tab, browser: str, directory: Path, name: str) -> None:
    """Keep what is seen, for people; and where it was asked for, in docs/."""
    if PICTURES and await page.visible("#graph"):
        await page.until(f"{LINE}.split('L').length > 30")
    found = await page.screenshot()
    await asyncio.to_thread((directory / name).write_bytes, found)
    if PICTURES:
        async with tab(browser) as empty:
            found = await small(empty, found)
        await asyncio.to_thread((DOCS / name).write_bytes, found)


@pytest.mark.parametrize("name", PICTURED)
def test_pictures_are_small(name: str) -> None:
    """Whoever reads the documentation waits for them."""
    found = (DOCS / name).read_bytes()

    assert found.startswith(b"\x89PNG")
    assert len(found) < LARGEST_PICTURE


async def test_a_rollout_is_seen(
    page: Tab, browser: str, port: int, tmp_path: Path
) -> None:
    told = shown.rolling()
    async with api(port, told) as it:
        await visit(page, it)
        # One more look, so that there are rates.
        await page.until(
            "/Conn.s\\s+[1-9]/.test(document.querySelector('.figures').innerText)"
        )
        for name, dark, width in (
            ("page-light.png", False, 1200),
            ("page-dark.png", True, 1200),
            ("page-phone.png", False, 390),
        ):
            await page.look(dark=dark, width=width)
            assert 0 >= await page.ask(TOO_WIDE)
            assert 4.5 <= await page.ask(CONTRAST)
            await picture(page, browser, tmp_path, name)
        assert "v2.3.1" in await page.text("#runs")
        assert "Deploying v2.4.0, replacing v2.3.1" in await page.text("#underway")
        assert "replica 2 of 3 is starting" == await page.text("#step")
        assert "1 of 3 replicas of v2.4.0 serve" in await page.text("#reached")
        assert "start" == await page.text("[aria-current=step]")
        assert "1 serving, 1 starting" in await page.text(".versions")
        assert "503 at /healthz" in await page.text("#replicas .table")
        rows = await page.text("#replicas tbody")
        assert re.search(r"serving\s+\ds ago\s+3\.1 ms\s+0\s+19\s", rows)
        assert shown.REASON in await page.text("#quarantine")
        assert "deploying, degraded" == await page.text("#health")

        for each in told["replicas"]:
            each["phase"] = "serving" if each["version"] == "v2.4.0" else "gone"
        told.update(underway=None, healthy=True, degraded=[])
        told["running"] = {**told["running"], "tag": "v2.4.0"}
        await page.sees(".versions", "/^v2.4.0\\s+2 serving/")
        await page.until("document.title.startsWith('shop – dewy container')")
        assert "v2.4.0 runs. healthy" == await page.text("#news")
        assert "healthy" == await page.text("#health")
        assert not await page.visible("#underway")

    assert [] == page.complaints


async def test_a_rollout_is_followed(page: Tab, port: int, tmp_path: Path) -> None:
    """Of real replicas behind the real proxy, on an engine that is memory."""
    well = asyncio.Event()
    async with benched(tmp_path, health_path="/up", health_timeout=120.0) as bench:

        async def tell() -> shown.Status:
            found = bench.replica_set
            replicas, ports = found.containers() or (), found.ports()
            process = ProcessStatus(
                7, replicas=replicas, ports=ports, desired_replicas=3
            )
            return shown.told(
                "container", bench.state_store.state, process, time.time()
            )

        async def load() -> None:
            while "v1" in bench.serving():
                await bench.ask()
                for shop in bench.shops.values() if well.is_set() else ():
                    shop.health = 200
                # A load that the page can show.
                await asyncio.sleep(0.01)

        await bench.deploy(bench.publish("v1"))
        async with AdminAPI(port, tell) as it, asyncio.TaskGroup() as group:
            await page.go(f"http://localhost:{it.port}/")
            await page.sees(".versions", r"/^v1\s+3 serving/")
            group.create_task(load())
            await page.sees(".figures", r"/Conn.s\s+[1-9].*\s+In\s+[1-9]/")
            await page.sees("#replicas .table", r"/[1-9][\d.]*\s+[1-9].*B\/s/")
            unwell = bench.publish("v2", labels={"health": "503"})
            group.create_task(bench.deploy(unwell))
            await page.sees(".versions", r"/v2\s+1 starting/")
            assert 4 == await page.ask(SQUARES)
            well.set()
            await page.sees(".versions", r"/v2\s+3 serving/")
            await page.sees("#runs", r"/v2/")

    assert [] == page.complaints


async def test_a_server_is_seen(
    page: Tab, browser: str, port: int, tmp_path: Path
) -> None:
    await page.look(height=600)
    telling = shown.Telling(shown.serving())
    async with AdminAPI(port, telling, past=shown.past_of_program) as it:
        await visit(page, it)
        assert "rolled back" in await page.text("#history")
        await picture(page, browser, tmp_path, "page-server.png")
        # Its own words stay in the host: any local user may look at this page.
        assert "12 requests left" not in await page.text("#program")
        for absent in ("#replicas", "#traffic", "#quarantine", "#problems"):
            assert not await page.visible(absent)

    assert [] == page.complaints


async def test_assets_are_seen(page: Tab, port: int) -> None:
    """And when what is in quarantine comes out of it, by itself or not."""
    told = {**shown.serving(), "command": "assets", "generations": []}
    for until in (time.time() + 9999, 1.0, None):
        kept_out = {"tag": "v9", "reason": "", "failures": 1, "until": until}
        told["quarantine"].append(kept_out)
    async with api(port, told) as it:
        await visit(page, it)
        ends = await page.text("#quarantine tbody")
        assert re.search(
            "in 2h.*at the next poll.*after dewy retry v9", ends, re.DOTALL
        )
        assert "dewy assets" in await page.text("#about")
        assert "20260302T090031Z" in await page.text("#runs")

    assert [] == page.complaints


async def test_text_of_releases_stays_text(page: Tab, port: int) -> None:
    """A tag, a reason and a replica's problem may say anything."""
    evil = "<img src=x onerror='window.hurt=1'><script>window.hurt=1</script>"
    told = shown.rolling()
    told.update(name=evil, last_error=evil, degraded=[evil])
    told["running"]["tag"] = told["underway"]["tag"] = evil
    told["quarantine"][0].update(tag=evil, reason=evil)
    for each in told["replicas"]:
        each.update(name=evil, version=evil, problem=evil, upstream=evil, phase=evil)
    record = {**shown.past()[0], "tag": evil, "reason": evil, "outcome": evil}
    async with AdminAPI(port, shown.Telling(told), past=lambda: [record]) as it:
        await visit(page, it)
        for where in (
            "#name",
            "#runs",
            "#problems",
            "#quarantine",
            "#history",
            ".table",
        ):
            assert evil in await page.text(where)
        assert 0 == await page.ask("document.querySelectorAll('img').length")
        assert 1 == await page.ask("document.scripts.length")
        assert None is await page.ask("window.hurt")
        # And were there a hole, the policy would be before it.
        refused = "try { document.body.innerHTML = '<b>' } catch (e) { e.name }"
        assert "TypeError" == await page.ask(refused)


async def test_keys_are_enough(page: Tab, port: int) -> None:
    """One comes to everything that does something, and sees where one is."""
    where = "document.activeElement"
    async with api(port, shown.rolling()) as it:
        await visit(page, it)
        reached = []
        for key in ("Tab", "Enter", "Tab", "Tab", "Tab"):
            await page.press(key)
            reached.append(await page.ask(f"{where}.id || {where}.innerText"))
            width = f"parseFloat(getComputedStyle({where}).outlineWidth)"
            assert key == "Enter" or 2 <= await page.ask(width)

    links = ["see Quarantine", "status", "containers"]
    assert ["Skip to the content", "main", *links] == reached


async def test_readers_find_their_way(page: Tab, port: int) -> None:
    """Landmarks, headings, names of regions and tables, and one voice."""
    async with api(port, shown.rolling()) as it:
        await page.look(width=390)
        await visit(page, it)
        nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            named.setdefault(node["role"]["value"], []).append(name)

    assert {"banner", "main", "contentinfo"} <= named.keys()
    assert {"Current release", "Replicas", "Previous", "History"} <= set(
        named["region"]
    )
    assert ["Replicas", "Quarantine"] == named["table"]
    assert set(COLUMNS) <= set(named["columnheader"])
    assert 2 == len(named["status"])
    assert "en" == await page.ask("document.documentElement.lang")


COLUMNS = ("Name", "State", "Last check", "Latency", "Restarts", "Conn/s", "Address")


async def test_other_pages_get_nothing(page: Tab, port: int) -> None:
    """Neither by a name that leads here nor from where they are."""
    told = shown.Telling(shown.serving())
    async with AdminAPI(port, told) as it:
        await page.go(f"http://{ELSEWHERE}:{it.port}/")
        await page.sees("body", "/local users only/")
        here = f"http://localhost:{it.port}/api/status"
        for url, how in ((here, {}), (here, {"mode": "no-cors"}), ("/api/status", {})):
            asked = f"fetch('{url}', {how}).then(r => r.status, e => e.name)"
            assert await page.ask(asked) in (403, 0, "TypeError")
        image = "new Promise(done => { const it = new Image(); it.onerror = done;"
        await page.ask(f"{image} it.src = '{here}' }})")

    assert 0 == told.looks


async def test_a_page_in_the_background_asks_for_nothing(page: Tab, port: int) -> None:
    told = shown.Telling(shown.serving())
    async with AdminAPI(port, told, past=shown.past) as it:
        await visit(page, it)
        await page.ask(
            "Object.defineProperty(document, 'hidden', {writable: true}) && 0"
        )
        await page.ask(HIDE.format("true"))
        await until_nobody_looks(lambda: told.looks, port)
        told.told["running"]["tag"] = "v1.9.3"
        await page.ask(HIDE.format("false"))
        await page.sees("#runs", "/v1.9.3/")
