"""What a hook writes."""

from __future__ import annotations

import os
from contextlib import suppress

from dewy.deploy.hooks import KEPT, HookOutput
from tests.eventually import eventually


async def test_end_is_kept() -> None:
    with HookOutput() as output:
        for _ in range(3):
            os.write(output.writer, b"a" * (KEPT // 2))
            output.text()
        os.write(output.writer, b"end")

        assert "a" * (KEPT - 3) + "end" == output.text()


async def test_pipe_ends_with_its_last_writer_and_takes_all_until_then() -> None:
    """Slowly: whoever floods it must not keep dewy busy."""
    before = len(os.listdir("/dev/fd"))
    with HookOutput() as output:
        held = os.dup(output.writer)
        os.set_blocking(held, False)
    written = 0

    def flood() -> bool:
        nonlocal written
        with suppress(BlockingIOError):
            written += os.write(held, b"x" * KEPT)
        return written > 10 * KEPT

    await eventually(flood)
    assert "" == output.text()
    os.close(held)

    await eventually(lambda: before == len(os.listdir("/dev/fd")))
