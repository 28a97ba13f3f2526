"""What happens to a release after it took over, and to one that replaces it."""

from __future__ import annotations

import asyncio
import gzip

from tests.eventually import eventually
from tests.standins import archives, programs, roots
from tests.standins.publishing import put, replace
from tests.standins.site import Dewy

GOOD, BAD = "v1.0.0", "v1.0.1"
GRACE = ["--ready", "grace", "--start-grace", "100ms"]


def web(version: str) -> bytes:
    return programs.tarball(programs.files(version))


async def test_symbolic_links_that_stay_inside_are_fine(tmp_path, unused_tcp_port):
    """Package managers make them; one used to make a release undeployable."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.registry.mkdir()
    source, version = (text.encode() for text in programs.files(GOOD).values())
    inside = archives.tar(
        archives.folder("bin"),
        archives.link("program.py", "bin/program.py"),
        archives.entry("bin/program.py", source),
        archives.link("bin/VERSION", "../VERSION"),
        archives.entry("VERSION", version),
        archives.hard("again.py", "bin/program.py"),
    )
    put(dewy.registry, GOOD, {"app.tar.gz": gzip.compress(inside)})
    async with dewy:
        await dewy.runs(GOOD)
        assert GOOD == await dewy.fetch()


async def test_an_artifact_replaced_under_its_tag_is_a_new_candidate_at_once(
    tmp_path, unused_tcp_port
):
    """Whether what it replaces was bad or runs; the tag alone used to count."""
    dewy = Dewy(tmp_path, unused_tcp_port)
    dewy.publish(GOOD)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.CRASHES)
        await dewy.refuses(BAD)
        replace(dewy.registry, BAD, web(BAD))
        status = await dewy.runs(BAD)
        replace(dewy.registry, BAD, web("again"))
        await dewy.until(
            lambda now: (
                now["running"] != status["running"] and len(now["generations"]) == 1
            )
        )

        assert "again" == await dewy.fetch()
        await roots.recorded(dewy.root, GOOD, BAD, BAD, BAD)


async def test_dying_within_probation_rolls_back_until_retried(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(GOOD, programs.SILENT)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.MORTAL)
        await dewy.runs(BAD)
        (dewy.root / "die").touch()
        reason = await dewy.refuses(BAD)
        status = await dewy.runs(GOOD)
        await dewy.until(lambda _: (dewy.root / "current/VERSION").read_text() == GOOD)

        assert "died within probation (exit status 9)" == reason
        assert GOOD == await dewy.fetch()
        assert [None] == [each["until"] for each in status["quarantine"]]
        (dewy.root / "die").unlink()
        await dewy.ask("retry", version=BAD)
        await dewy.runs(BAD)
        assert BAD == await dewy.fetch()
        await roots.recorded(dewy.root, GOOD, BAD, BAD, BAD)

    last = (await roots.history(dewy.root))[2]
    assert (BAD, "rolled back", "probation") == (last.tag, last.outcome, last.step)
    assert ("dying as told",) == last.log_tail[-1:]
    assert "Rolled back" in dewy.log


async def test_failed_first_release_falls_back_to_older_release(
    tmp_path, unused_tcp_port
):
    """Nothing was kept that could be put back: a fresh host crash-looped for ever."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(GOOD, programs.SILENT)
    dewy.publish(BAD, programs.MORTAL)
    async with dewy:
        await dewy.runs(BAD)
        (dewy.root / "die").touch()
        reason = await dewy.refuses(BAD)
        await dewy.runs(GOOD)

        assert "died within probation (exit status 9)" == reason
        assert GOOD == await dewy.fetch()


async def test_probation_quarantine_survives_restart(tmp_path, unused_tcp_port):
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(GOOD, programs.SILENT)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.MORTAL)
        await dewy.runs(BAD)
        (dewy.root / "die").touch()
        await dewy.refuses(BAD)
        await dewy.kill()
    async with dewy:
        status = await dewy.runs(GOOD)
        await dewy.until(lambda now: now["last_poll"])

        assert [None] == [each["until"] for each in status["quarantine"]]
        assert GOOD == await dewy.fetch()


async def test_without_rollback_a_dying_release_is_started_again(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(tmp_path, unused_tcp_port, options=[*GRACE, "--no-rollback"])
    dewy.publish(GOOD, programs.SILENT)
    async with dewy:
        await dewy.runs(GOOD)
        dewy.publish(BAD, programs.MORTAL)
        await dewy.runs(BAD)
        (dewy.root / "die").touch()
        await eventually(lambda: "Program ended by itself" in dewy.log)
        (dewy.root / "die").unlink()
        status = await dewy.until(
            lambda now: [3] <= [each["generation"] for each in now["generations"]]
        )

        assert (BAD, []) == (status["running"]["tag"], status["quarantine"])
        await eventually(lambda: dewy.fetch())
        assert BAD == await dewy.fetch()


async def test_crash_loop_stays_degraded_while_generation_serves(
    tmp_path, unused_tcp_port
):
    """Also in the moments in which a generation lives."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=[*GRACE, "--no-rollback"])
    dewy.publish(GOOD, programs.MORTAL)
    async with dewy:
        await dewy.runs(GOOD)
        (dewy.root / "die").touch()
        await dewy.until(lambda now: now["deaths"]["total"] >= 2)
        await dewy.until(lambda now: "keeps dying" in str(now["degraded"]))
        (dewy.root / "die").unlink()
        status = await dewy.until(
            lambda now: "serving" in [each["state"] for each in now["generations"]]
        )
        said = await roots.say(dewy.root, "status", "--check")

    assert "exit status 9" in str(status["degraded"])
    assert "exit status 9" == status["deaths"]["last"]["how"]
    assert 1 == said.status
    assert "(exit status 9)" in said.out


async def test_release_that_died_once_runs_again_when_its_successor_fails(
    tmp_path, unused_tcp_port
):
    """It was in quarantine, so nothing served until it was tried again."""
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(GOOD, programs.MORTAL)
    async with dewy:
        await dewy.runs(GOOD)
        (dewy.root / "die").touch()
        await dewy.refuses(GOOD)
        (dewy.root / "die").unlink()
        await eventually(lambda: dewy.fetch())
        dewy.publish(BAD, programs.MORTAL)
        await dewy.runs(BAD)
        (dewy.root / "die").touch()
        await dewy.refuses(BAD)
        (dewy.root / "die").unlink()
        # Far less than the minute of quarantine.
        async with asyncio.timeout(30):
            await dewy.runs(GOOD)
        await dewy.until(lambda _: (dewy.root / "current/VERSION").read_text() == GOOD)

        assert GOOD == await dewy.fetch()
