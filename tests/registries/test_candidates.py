"""The versions a registry offers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from dewy.errors import NoRelease
from dewy.registries import Candidates, Registry, candidates_of
from dewy.registries.candidates import Options, newest
from dewy.release import Deployment, Refusal, Release
from dewy.versions import Selection, Version


def offered(*names: str) -> Candidates:
    async def details(version: Version) -> Release:
        if version.tag == "v9.0.0":
            raise NoRelease("no artifact", [Refusal("app.zip", "for darwin")])
        refused = (Refusal("sums", "a checksum"),)
        return Release(version.tag, "mem://x", "one", refused=refused)

    return Options.read(urlsplit("mem://x"), Selection()).candidates(
        names, "shop", details
    )


async def test_newest_release_lists_refused_candidates() -> None:
    release = await newest(offered("v1.0.0", "latest", "v1.1.0"))

    assert "v1.1.0" == release.tag
    assert [
        Refusal("latest", "not a semantic version"),
        Refusal("v1.0.0", "older than v1.1.0"),
        Refusal("sums", "a checksum"),
    ] == list(release.refused)


async def test_missing_artifact_error_lists_refused_candidates() -> None:
    with pytest.raises(NoRelease, match="no artifact") as caught:
        await newest(offered("v1.0.0", "v9.0.0"))

    assert ["v1.0.0", "app.zip"] == [each.name for each in caught.value.refused]


async def test_newest_of_nothing_is_no_release() -> None:
    with pytest.raises(NoRelease, match="shop holds no version") as caught:
        await newest(offered("latest"))

    assert ["latest"] == [each.name for each in caught.value.refused]


class Named:
    """A plugin from before there were candidates."""

    async def current(self, tag: str | None = None) -> Release:
        return Release("v1.0.0", "mem://x", "one")

    async def report(self, deployment: Deployment) -> None: ...


async def test_registry_without_listing_offers_current_release() -> None:
    registry: Registry = Named()

    found = await candidates_of(registry)

    assert found.names is None
    assert ["v1.0.0"] == [each.tag for each in found.versions]
    assert "one" == (await found.details(found.versions[0])).identity
