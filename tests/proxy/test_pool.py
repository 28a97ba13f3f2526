"""Backends that come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dewy.config import Endpoint
from dewy.proxy import Port
from dewy.proxy.resolver import Pool
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask, asked, connect


@pytest.fixture
async def pool(port: Port) -> AsyncIterator[Pool]:
    made = Pool(port)
    yield made
    await made.stop()


async def test_backend_that_leaves_keeps_its_connections(
    pool: Pool, application: Applications
) -> None:
    """And is forgotten after the last."""
    old, new = await application("old"), await application("new")
    assert pool.serve([old.endpoint])
    stream = await connect(pool.port)
    assert "old" == await ask(stream)
    assert pool.serve([new.endpoint])
    assert "new" == await asked(pool.port)
    assert "old" == await ask(stream)
    assert 2 == len(pool.port.backends)
    stream[1].close()
    await eventually(lambda: [new.endpoint] == [e.endpoint for e in pool.port.backends])


async def test_same_addresses_in_any_order_are_no_change(pool: Pool) -> None:
    """Name servers rotate them: each lookup would swap the backends."""
    endpoints = [Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)]
    assert pool.serve(endpoints)
    assert not pool.serve(endpoints)
    assert not pool.serve(endpoints[::-1])
    assert pool.serve(endpoints[1:])


async def test_draining_backend_added_again_stays_in_service(
    pool: Pool, application: Applications
) -> None:
    """It is the one it was, and does not leave any more."""
    one, other = await application("one"), await application("other")
    pool.serve([one.endpoint])
    stream = await connect(pool.port)
    assert "one" == await ask(stream)
    pool.serve([other.endpoint])
    pool.serve([one.endpoint])
    stream[1].close()
    await eventually(lambda: [one.endpoint] == [e.endpoint for e in pool.port.backends])
    assert "one" == await asked(pool.port)
