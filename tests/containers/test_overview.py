"""Replicas as the admin API tells them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from dewy.containers.replica import describe
from dewy.containers.rollout import Phase
from tests.standins import shown
from tests.standins.fleets import yard

ORIGINAL = [
    "id",
    "name",
    "image",
    "status",
    "ip_port",
    "started_at",
    "deployed_at",
]


async def test_the_originals_keys_come_first():
    async with yard() as it:
        replica = await it.serving("a")
        told = describe(replica, it.store.terminations)
        published = replica.container.published[8080]

        assert ORIGINAL == list(told)[:7]
        assert f"127.0.0.1:{published}" == told["ip_port"] == told["upstream"]
        assert ("running", "serving", "healthy", "v1") == (
            told["status"],
            told["phase"],
            told["health"],
            told["version"],
        )
        assert told == json.loads(json.dumps(told))


async def test_replica_whose_end_the_engine_does_not_tell_is_not_shown_as_healthy():
    async with yard() as it:
        replica = await it.serving("a")
        it.store.presume_gone(replica)
        told = describe(replica, it.store.terminations)

        assert [] == it.store.serving
        assert ("gone", "") == (told["phase"], told["health"])


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@pytest.mark.parametrize("start", [True, False])
async def test_description_is_decodable_by_original_client(start: bool):
    """Its fields are text, times that are strictly RFC 3339, and a map of text."""
    async with yard() as it:
        await it.left("a", start=start)
        await it.store.observe()
        found = describe(it.store.replicas[0], it.store.terminations)
        told = json.loads(json.dumps(found))

    assert all(isinstance(told[key], str) for key in ORIGINAL)
    assert TIME.fullmatch(told["started_at"])
    assert TIME.fullmatch(told["deployed_at"])
    assert all(isinstance(value, str) for value in told["labels"].values())


async def test_address_is_that_of_first_proxy_port():
    async with yard() as it:
        replica = await it.serving("a")
        labels = {**replica.container.labels, "dewy.ports": "80:90"}
        replica.container = replace(
            replica.container, labels=labels, published={80: 1, 90: 2}
        )

        assert "127.0.0.1:2" == describe(replica, it.store.terminations)["ip_port"]


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.STARTING, "starting"),
        (Phase.READY, "starting"),
        (Phase.LEAVING, ""),
        (Phase.GONE, ""),
    ],
)
async def test_health_is_starting_before_serving_and_empty_after(
    phase: Phase, expected: str
):
    async with yard() as it:
        replica = await it.serving("a")
        replica.phase = phase

        assert expected == describe(replica, it.store.terminations)["health"]


async def test_unknown_values_are_empty():
    async with yard() as it:
        await it.left("a", start=False)
        await it.store.observe()
        told = describe(it.store.replicas[0], it.store.terminations)

        assert ("", "", "", 0) == (
            told["ip_port"],
            told["upstream"],
            told["way"],
            told["connections"],
        )


async def test_page_test_fixture_has_same_keys_as_description():
    async with yard() as it:
        told = describe(await it.serving("a"), it.store.terminations)

    assert list(shown.replica(1, "v1", "serving")) == list(told)
