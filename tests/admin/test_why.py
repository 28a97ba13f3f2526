"""Whom `dewy why` asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.admin import client
from dewy.admin.control import ControlServer
from dewy.admin.handlers import Handlers
from dewy.admin.why import look, why
from dewy.config import Settings
from dewy.deploy.lock import STARTING
from dewy.errors import ConfigError, NoRelease
from dewy.polling import Poller
from dewy.registries import Candidates
from dewy.release import Refusal, Release
from dewy.system import Clock, utc
from dewy.versions import Version
from tests.standins.agents import acting
from tests.standins.roots import locked

NOW, GRACE = 1000.0, 300.0


async def test_running_dewy_is_asked(worked: Settings, clock: Clock) -> None:
    """It follows a registry that the command line may know nothing of."""
    asked: list[Any] = []

    async def handle(verb: str, args: dict[str, Any], *_: object) -> dict[str, Any]:
        asked.append((verb, args))
        return {"verdict": "runs"}

    async with ControlServer(worked.private / "admin.sock", handle):
        assert {"verdict": "runs"} == await why(worked, "v2", clock)

    assert [("why", {"version": "v2"})] == asked


async def test_without_a_dewy_the_disk_is_asked_and_the_registry(
    worked: Settings, clock: Clock
) -> None:
    settings = replace(worked, registry=f"file://{worked.root / 'registry'}")
    found = await why(settings, "v3", clock)
    assert "quarantined" == found["verdict"]
    assert "says nothing of it" in found["why"][-1]

    artifact = worked.root / "registry" / "v3" / "app.tgz"
    await asyncio.to_thread(artifact.parent.mkdir, parents=True)
    await asyncio.to_thread(artifact.write_bytes, b"x")
    found = await why(settings, "v3", clock)

    assert "quarantined" == found["verdict"]
    assert "the registry names no release" not in "".join(found["why"])


async def test_disk_is_asked_in_place_of_a_dewy_that_does_not_answer(
    worked: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is told first, as by `status`."""
    monkeypatch.setattr(client, "MOMENT", 0.1)
    async with locked(worked.private, STARTING):
        found = await why(worked, "v3", clock)

    assert "quarantined" == found["verdict"]
    assert found["why"][0].endswith("is starting; try again; what follows is from disk")


async def test_registry_of_a_file_that_cannot_be_read_is_not_called_missing(
    worked: Settings, clock: Clock
) -> None:
    settings = replace(worked, registry="", registry_unread=("dewy.toml is no TOML",))
    found = await why(settings, "v3", clock)

    assert "no --registry" not in " ".join(found["why"])
    assert "the configuration cannot be read" in found["why"][-1]


async def test_registry_that_cannot_be_is_a_mistake(worked: Settings) -> None:
    with pytest.raises(ConfigError):
        await why(replace(worked, registry="nonsense://x"), "v3")


class Registry:
    """Answers with *answer*, or raises it; hangs where there is none."""

    def __init__(self, answer: Release | Exception | None) -> None:
        self.answer = answer

    async def current(self, tag: str | None = None) -> Release:
        if self.answer is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def report(self, deployment: object) -> None:
        raise AssertionError("nothing is reported")


async def test_registry_lookup_returns_release_or_problem() -> None:
    """Whatever is the matter with it, the others tell what they know."""
    refused = (Refusal("v9", "pre-release"),)
    release = Release("v2", "file:///x", "two", refused=refused)
    assert release is (await look(Registry(release), NOW, GRACE)).release
    assert refused == (await look(Registry(release), NOW, GRACE)).refused
    nothing = await look(Registry(NoRelease("none here", refused)), NOW, GRACE)
    assert ("none here", refused) == (nothing.problem, nothing.refused)
    assert (
        "no answer within 0.01 s"
        == (await look(Registry(None), NOW, GRACE, patience=0.01)).problem
    )


@pytest.mark.parametrize(
    ("since", "expected"), [(NOW - 100, {"v3": NOW + 200}), (NOW - 400, {})]
)
async def test_version_without_artifact_is_coming_within_grace(
    monkeypatch: pytest.MonkeyPatch, since: float, expected: dict[str, float]
) -> None:
    """Alone, as well as before one that can be had."""
    missing = NoRelease("v3 has no artifact for this host", since=utc(since))
    good = Release("v2", "file:///x", "two")

    async def details(version: Version) -> Release:
        if version.tag == "v3":
            raise missing
        return good

    for tags in (("v3",), ("v3", "v2")):
        versions = tuple(Version(tag, tag, ()) for tag in tags)

        async def offer(
            registry: object, versions: tuple[Version, ...] = versions
        ) -> Candidates:
            return Candidates("there", versions, details)

        monkeypatch.setattr("dewy.admin.why.candidates_of", offer)
        assert expected == (await look(Registry(good), NOW, GRACE)).coming


async def test_reason_for_requested_older_version_is_included(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newest = Release("v3", "file:///x", "three")

    async def details(version: Version) -> Release:
        if version.tag == "v2":
            raise NoRelease("v2 holds no artifact for this host")
        return newest

    async def offer(registry: object) -> Candidates:
        versions = tuple(Version(tag, tag, ()) for tag in ("v3", "v2", "v1"))
        return Candidates("there", versions, details)

    monkeypatch.setattr("dewy.admin.why.candidates_of", offer)
    looked = await look(Registry(newest), NOW, GRACE, "v2")

    assert [Refusal("v2", "v2 holds no artifact for this host")] == [
        each for each in looked.refused if each.name == "v2"
    ][:1]


async def test_dewy_that_runs_knows(tmp_path: Path) -> None:
    async with acting(tmp_path) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock)
        handlers = Handlers(agent, poller)
        for version, artifact in (("v1.0.0", None), ("v1.1.0", b"no archive")):
            hands.publish(version, artifact)
            await poller.once()
        hands.publish("v1.2.0-rc.1")

        async def verdict(version: str) -> str:
            return str((await handlers.handle("why", {"version": version}))["verdict"])

        assert "runs" == await verdict("v1.0.0")
        assert "quarantined" == await verdict("v1.1.0")
        assert "passed over" == await verdict("v1.2.0-rc.1")
        assert "unknown" == await verdict("v9")
        status = await handlers.status()
        assert "the newest release when it was deployed" == status["why"]
        assert status["standing"].startswith("v1.1.0 is")
