"""What would be deployed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dewy.admin import preview as module
from dewy.admin.preview import preview
from dewy.config import Settings
from dewy.errors import NoRelease, RemoteError, UnknownScheme
from dewy.release import Refusal, Release
from dewy.remotes.memory import MemoryStore
from dewy.system import Clock

REFUSED = (Refusal("v9", "has no artifact for this platform"),)


class Registry:
    """Answers with a release, or raises."""

    def __init__(self, answer: Release | Exception) -> None:
        self.answer = answer

    async def current(self, tag: str | None = None) -> Release:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every registry answer as told; returns nothing."""

    def answering(answer: Release | Exception) -> None:
        def opened(url: str, *args: object) -> Registry:
            return Registry(answer)

        monkeypatch.setattr(module.REGISTRIES, "open", opened)

    return answering


async def test_preview_shows_release_and_refused_without_secrets(
    worked: Settings, clock: Clock, answering: Callable[..., None]
) -> None:
    """Tokens in its URL are not."""
    url = "https://me:pw@host/app.tar?token=abc"
    answering(Release("v4", url, "four", refused=REFUSED))
    found = await preview(worked, clock)

    assert {
        "tag": "v4",
        "artifact_url": "https://***@host/app.tar?token=***",
        "identity": "four",
        "refused": [{"name": "v9", "reason": "has no artifact for this platform"}],
        "quarantined": None,
        "passed_over": [],
    } == {key: value for key, value in found.items() if key != "running"}
    assert "v2" == found["running"]["tag"]


async def test_quarantine_of_the_release_is_told(
    worked: Settings, clock: Clock, answering: Callable[..., None]
) -> None:
    """Of exactly these bytes."""
    answering(Release("v3", "mem://x", "three"))
    found = (await preview(worked, clock))["quarantined"]
    answering(Release("v3", "mem://x", "other bytes"))

    assert ("died", 1060.0) == (found["reason"], found["until"])
    assert (await preview(worked, clock))["quarantined"] is None


async def test_no_release_is_an_answer_too(
    settings: Settings, clock: Clock, answering: Callable[..., None]
) -> None:
    """Why there is none is what was asked."""
    answering(NoRelease("nothing fits", REFUSED))
    found = await preview(settings, clock)

    assert "nothing fits" == found["error"]
    assert found["tag"] is None
    assert ["v9"] == [each["name"] for each in found["refused"]]


async def test_failing_registry_is_an_answer_too(
    settings: Settings, clock: Clock, answering: Callable[..., None]
) -> None:
    """What is known here is told all the same."""
    answering(RemoteError("it is down"))

    assert "it is down" == (await preview(settings, clock))["error"]


async def test_slow_registry_is_not_waited_for(
    settings: Settings,
    clock: Clock,
    answering: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command line never hangs."""
    answering(TimeoutError())

    assert "did not answer in 120 s" in (await preview(settings, clock))["error"]


async def test_unusable_registry_is_a_configuration_error(settings: Settings) -> None:
    """Trying again is of no use."""
    with pytest.raises(UnknownScheme, match="nobody://"):
        await preview(replace(settings, registry="nobody://x"))


async def test_previewing_creates_nothing(
    settings: Settings, clock: Clock, answering: Callable[..., None]
) -> None:
    """Not even the directory for what it learned."""
    answering(Release("v1", "mem://x", "one"))
    await preview(settings, clock)

    assert [] == list(settings.root.iterdir())


async def test_preview_lists_passed_over_versions_and_counts_older(
    settings: Settings, clock: Clock
) -> None:
    url = f"mem://{uuid.uuid4().hex}"
    store = MemoryStore.named(url.removeprefix("mem://"))
    for number in range(30):
        store.publish(f"v1.{number}.0", {"app.zip": b""})
    store.publish(
        "v1.99.0", {"app_plan9_mips.zip": b""}, at=datetime(2001, 1, 1, tzinfo=UTC)
    )
    store.publish("nightly", {})

    found = await preview(replace(settings, registry=url), clock)

    assert "v1.29.0" == found["tag"]
    assert 29 == found["older"]
    assert [
        {
            "name": "v1.99.0",
            "reason": f"v1.99.0 in {url} holds no artifact for this host "
            "(app_plan9_mips.zip: names no operating system)",
        }
    ] == found["passed_over"]
    assert ["nightly"] == [each["name"] for each in found["refused"]]


async def test_version_that_is_waited_for_is_not_older(
    settings: Settings, clock: Clock
) -> None:
    url = f"mem://{uuid.uuid4().hex}"
    store = MemoryStore.named(url.removeprefix("mem://"))
    at = datetime.fromtimestamp(clock.wall(), UTC)
    for tag in ("v1.0.0", "v1.1.0"):
        store.publish(tag, {"app_plan9_mips.zip": b""}, at=at)

    found = await preview(replace(settings, registry=url), clock)

    assert ("", 1) == (found.get("tag") or "", found["older"])


async def test_order_that_surprises_is_told(settings: Settings, clock: Clock) -> None:
    url = f"mem://{uuid.uuid4().hex}"
    store = MemoryStore.named(url.removeprefix("mem://"))
    for tag in ("v1.0.0-rc9", "v1.0.0-rc10"):
        store.publish(tag, {"app.zip": b""})

    found = await preview(replace(settings, registry=f"{url}?channel=rc"), clock)

    assert "v1.0.0-rc9" == found["tag"]
    assert "rc.9 and rc.10" in found["surprises"][0]
