"""Asking a registry what to do, and when a version is gone from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dewy.deploy.candidates import Absence, Found, ask, ask_for
from dewy.deploy.plan import Action, Decision
from dewy.deploy.state import State
from dewy.errors import NoRelease, NotYet
from dewy.registries import Candidates
from dewy.release import Deployment, Release
from tests.deploy.test_candidates import (
    ELSEWHERE,
    GRACE,
    NOW,
    UPLOADING,
    Shelf,
    out,
    release,
    running,
    told,
)


class Listing:
    """A registry over a shelf, which may fail."""

    def __init__(self, shelf: Shelf, trouble: Exception | None = None) -> None:
        self._shelf = shelf
        self._trouble = trouble

    async def candidates(self) -> Candidates:
        if self._trouble:
            raise self._trouble
        return self._shelf.candidates()

    async def current(self, tag: str | None = None) -> Release:
        if self._trouble:
            raise self._trouble
        return release(str(tag))

    async def report(self, deployment: Deployment) -> None:
        """Take no note of it."""


def test_absence_is_confirmed_by_a_second_list() -> None:
    shelf, absence = Shelf().put("v1.0.0"), Absence()
    once = shelf.candidates()

    assert not absence.confirmed("v1.1.0", once)
    assert not absence.confirmed("v1.1.0", once)
    assert absence.confirmed("v1.1.0", shelf.candidates())
    assert absence.confirmed("v1.1.0", shelf.candidates())


def test_absence_is_reset_when_version_reappears() -> None:
    shelf, absence = Shelf().put("v1.0.0"), Absence()

    assert not absence.confirmed("v1.1.0", shelf.candidates())
    assert not absence.confirmed("v1.1.0", shelf.candidates(["v1.0.0", "v1.1.0"]))
    assert not absence.confirmed("v1.1.0", shelf.candidates())


def test_version_that_filters_exclude_is_gone_at_once() -> None:
    shelf = Shelf("?constraint=^1")

    assert Absence().confirmed("v2.0.0", shelf.candidates(["v1.0.0", "v2.0.0"]))


@pytest.mark.parametrize("known", [{"names": None}, {"complete": False}])
def test_incomplete_list_proves_no_absence(known: dict[str, None]) -> None:
    shelf, absence = Shelf().put("v1.0.0"), Absence()

    for _ in range(3):
        assert not absence.confirmed("v1.1.0", replace(shelf.candidates(), **known))


async def test_release_without_a_name_is_not_taken_for_withdrawn() -> None:
    registry, absence = Listing(Shelf().put("v1.0.0")), Absence()

    for _ in range(2):
        found = await ask(registry, running(""), absence, NOW, GRACE)

        assert ("v1.0.0 is new", False) == (found.decision.reason, found.withdrawn)


async def test_version_missing_from_two_lists_makes_way_for_older() -> None:
    registry, absence = Listing(Shelf().put("v1.0.0")), Absence()
    state = running("v1.1.0")

    once = await ask(registry, state, absence, NOW, GRACE)
    twice = await ask(registry, state, absence, NOW, GRACE)

    assert once.candidates
    assert ["v1.0.0"] == list(once.candidates.names or ())
    assert ((Action.WAIT, None, []), False) == (told(once), once.withdrawn)
    assert ((Action.DEPLOY, "v1.0.0", []), True) == (told(twice), twice.withdrawn)


async def test_version_in_every_list_is_not_withdrawn() -> None:
    registry, absence = Listing(Shelf().put("v1.0.0").put("v0.9.0")), Absence()

    for _ in range(2):
        found = await ask(registry, running("v1.0.0"), absence, NOW, GRACE)

        assert ((Action.SKIP, "v1.0.0", []), False) == (told(found), found.withdrawn)


async def test_stopgap_keeps_no_older_version_out() -> None:
    registry = Listing(Shelf().put("v1.0.0"))
    state = running("v1.1.0", quarantine=out("v1.1.0"))

    found = await ask(registry, state, Absence(), NOW, GRACE)

    assert (Action.DEPLOY, "v1.0.0", []) == told(found)


async def test_version_that_may_still_come_is_an_answer() -> None:
    registry = Listing(Shelf().put("v1.0.0", UPLOADING))

    assert (
        Decision(Action.WAIT, f"{UPLOADING}; it may still be on its way")
        == (await ask(registry, State(), Absence(), NOW, GRACE)).decision
    )


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(
    ("trouble", "reason", "settles_in"),
    [
        (NotYet("being written", settles_in=5.0), "being written", 5.0),
        (UPLOADING, f"{UPLOADING}; it may still be on its way", None),
    ],
)
async def test_registry_that_has_a_release_soon_is_waited_for(
    trouble: Exception, reason: str, settles_in: float | None, by_name: bool
) -> None:
    registry = Listing(Shelf(), trouble)
    asked = (
        ask_for(registry, "v1.0.0", NOW, GRACE)
        if by_name
        else ask(registry, State(), Absence(), NOW, GRACE)
    )

    assert Found(None, Decision(Action.WAIT, reason, settles_in)) == await asked


async def test_version_asked_for_is_deployed_or_missing() -> None:
    asked = await ask_for(Listing(Shelf()), "v1.0.0", NOW, GRACE)

    deployed = Decision(Action.DEPLOY, "v1.0.0 was asked for")
    assert Found(release("v1.0.0"), deployed) == asked
    with pytest.raises(NoRelease, match=str(ELSEWHERE)):
        await ask_for(Listing(Shelf(), ELSEWHERE), "v1.0.0", NOW, GRACE)
