"""Programs that leave processes in sessions of their own."""

from __future__ import annotations

from dewy.system import start_time
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.site import Dewy

OLD, NEW = "v1.0.0", "v1.1.0"
GRACE = ["--ready", "grace", "--start-grace", "300ms", "--stop-timeout", "2s"]


async def test_no_answer_comes_from_a_detached_old_version(tmp_path, unused_tcp_port):
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(OLD, programs.DETACHES)
    async with dewy:
        await dewy.runs(OLD)
        assert OLD == await dewy.fetch()
        dewy.publish(NEW)
        await dewy.runs(NEW)

        assert [NEW] * 30 == [await dewy.fetch() for _ in range(30)]


async def test_detached_process_of_a_killed_dewy_is_ended_by_the_next(
    tmp_path, unused_tcp_port
):
    dewy = Dewy(tmp_path, unused_tcp_port, options=GRACE)
    dewy.publish(OLD, programs.DETACHES)
    async with dewy:
        await dewy.runs(OLD)
        await eventually((dewy.root / "detached").exists)
        pid = int((dewy.root / "detached").read_text())
        await dewy.kill()
    assert start_time(pid) is not None
    dewy.publish(NEW)
    async with dewy:
        await dewy.runs(NEW)

        assert start_time(pid) is None
        assert NEW == await dewy.fetch()
