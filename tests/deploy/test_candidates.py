"""Going through candidates: what is acted on, waited for and passed over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from dewy.deploy.candidates import MOST, Found, find, first, in_short
from dewy.deploy.plan import Action, Decision
from dewy.deploy.quarantine import Quarantine, QuarantineEntry
from dewy.deploy.state import Installed, State
from dewy.errors import Ambiguous, NoRelease, NotYet, RemoteError
from dewy.registries import Candidates
from dewy.registries.candidates import Options
from dewy.release import Refusal, Release
from dewy.versions import Selection, Version

NOW = 1_000_000.0
GRACE = 300.0
OLD = datetime.fromtimestamp(NOW - 7200, UTC)
FRESH = datetime.fromtimestamp(NOW - 10, UTC)

ELSEWHERE = NoRelease("holds no artifact for this host", since=OLD)
UPLOADING = NoRelease("holds no artifact for this host", since=FRESH)
EMPTY = NoRelease("holds no artifact for this host", since=FRESH, unfinished=True)


class Shelf:
    """Versions with what is wrong with them; counts what was asked."""

    def __init__(self, query: str = "") -> None:
        self.options = Options.read(urlsplit(f"mem://shop{query}"), Selection())
        self.troubles: dict[str, Exception | None] = {}
        self.asked: list[str] = []

    def put(self, tag: str, trouble: Exception | None = None) -> Shelf:
        self.troubles[tag] = trouble
        return self

    def candidates(self, names: Iterable[str] | None = None) -> Candidates:
        async def details(version: Version) -> Release:
            self.asked.append(version.tag)
            if trouble := self.troubles[version.tag]:
                raise trouble
            return release(version.tag)

        chosen = self.troubles if names is None else names
        return self.options.candidates(chosen, "shop", details)


def release(tag: str, identity: str = "sha256:a") -> Release:
    return Release(tag, f"mem://shop/{tag}/app.tgz", identity)


def running(tag: str, **changes: object) -> State:
    installed = Installed(tag, "sha256:a", "20310203T040506Z", 1.0)
    return replace(State(running=installed, installed=(installed,)), **changes)  # type: ignore[arg-type]


def out(*tags: str, until: float | None = None) -> Quarantine:
    entries = (
        QuarantineEntry(tag, "sha256:a", "it crashed", 1, NOW, until) for tag in tags
    )
    return Quarantine(tuple(entries))


async def found(shelf: Shelf, state: State, **withdrawn: bool) -> Found:
    return await find(shelf.candidates(), state, NOW, GRACE, **withdrawn)


def told(found: Found) -> tuple[Action, str | None, list[str]]:
    """Action, version, and what was passed over."""
    tag = found.release.tag if found.release else None
    return found.decision.action, tag, [each.name for each in found.passed_over]


@pytest.mark.parametrize("trouble", [ELSEWHERE, EMPTY, NoRelease("answers 404")])
@pytest.mark.parametrize("query", ["", "?pre-release=true"])
async def test_version_this_host_cannot_have_is_passed_over(
    trouble: NoRelease, query: str
) -> None:
    shelf = Shelf(query).put("v1.0.0").put("v1.1.0", trouble)

    assert (Action.DEPLOY, "v1.0.0", ["v1.1.0"]) == told(await found(shelf, State()))


async def test_version_that_may_still_come_is_waited_for() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0", UPLOADING)

    waiting = await found(shelf, State())

    assert (Action.WAIT, None, []) == told(waiting)
    assert waiting.decision.reason.endswith("it may still be on its way")


async def test_version_being_written_is_waited_for() -> None:
    writing = NotYet("still being written", settles_in=3.0)

    waiting = await found(Shelf().put("v1.0.0").put("v1.1.0", writing), State())

    assert (Action.WAIT, None, []) == told(waiting)
    assert Decision(Action.WAIT, "still being written", 3.0) == waiting.decision


async def test_registry_that_fails_is_no_reason_to_pass_over() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0", RemoteError("503"))

    with pytest.raises(RemoteError, match="503"):
        await found(shelf, State())


async def test_quarantine_is_passed_over_only_where_nothing_runs() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0").put("v1.2.0")
    kept_out = out("v1.2.0")

    empty = await found(shelf, State(quarantine=kept_out))
    serving = await found(shelf, running("v1.0.0", quarantine=kept_out))

    assert (Action.DEPLOY, "v1.1.0", ["v1.2.0"]) == told(empty)
    assert empty.passed_over[0].reason.startswith("v1.2.0 is in quarantine until ")
    assert "v1.2.0" == (empty.newest.tag if empty.newest else None)
    assert (Action.WAIT, "v1.2.0", []) == told(serving)


async def test_nothing_but_quarantine_is_waited_for() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0")
    kept_out = out("v1.0.0", "v1.1.0", until=NOW + 60)

    waiting = await found(shelf, State(quarantine=kept_out))

    assert (Action.WAIT, None, ["v1.1.0", "v1.0.0"]) == told(waiting)
    assert waiting.decision.reason.startswith("v1.1.0 is in quarantine")


async def test_quarantine_is_waited_for_where_all_else_cannot_be_had() -> None:
    shelf = Shelf().put("v1.0.0", ELSEWHERE).put("v1.1.0")

    waiting = await found(shelf, State(quarantine=out("v1.1.0", until=NOW + 60)))

    assert Action.WAIT is waiting.decision.action


async def test_nothing_to_have_is_an_error_that_counts() -> None:
    shelf = Shelf().put("v1.0.0", NoRelease("other")).put("v1.1.0", ELSEWHERE)

    with pytest.raises(NoRelease) as caught:
        await found(shelf.put("latest"), State())

    names = [each.name for each in caught.value.refused]
    assert ["v1.1.0", "v1.0.0", "latest"] == names
    assert f"{ELSEWHERE}; nor any of the 1 older" == str(caught.value)
    assert OLD == caught.value.since


async def test_single_version_this_host_cannot_have_is_the_error() -> None:
    with pytest.raises(NoRelease, match=f"^{ELSEWHERE}$"):
        await found(Shelf().put("v1.0.0", ELSEWHERE), State())


async def test_empty_release_alone_is_waited_for() -> None:
    """Its first file may be on its way, and there is nothing else to have."""
    waiting = await found(Shelf().put("v1.0.0", EMPTY), State())

    assert (Action.WAIT, None, ["v1.0.0"]) == told(waiting)
    assert f"{EMPTY}; it may still be on its way" == waiting.decision.reason


async def test_running_version_is_kept_if_newer_is_unavailable() -> None:
    shelf = Shelf().put("v0.9.0").put("v1.0.0").put("v1.1.0", ELSEWHERE)

    assert (Action.SKIP, "v1.0.0", ["v1.1.0"]) == told(
        await found(shelf, running("v1.0.0"))
    )
    assert ["v1.1.0", "v1.0.0"] == shelf.asked


async def test_running_version_with_missing_artifact_is_kept() -> None:
    shelf = Shelf().put("v0.9.0").put("v1.0.0", ELSEWHERE)

    stays = await found(shelf, running("v1.0.0"))

    assert (Action.SKIP, None, []) == told(stays)
    assert f"v1.0.0 runs, though {ELSEWHERE}" == stays.decision.reason
    assert ["v1.0.0"] == shelf.asked


async def test_lower_version_does_not_replace_missing_running_version() -> None:
    shelf = Shelf().put("v0.9.0").put("v1.1.0", ELSEWHERE)

    stays = await found(shelf, running("v1.0.0"))

    assert (Action.WAIT, None, ["v1.1.0"]) == told(stays)
    assert "v1.0.0 runs, and is missing in the registry" == stays.decision.reason


async def test_nothing_lower_is_taken_from_a_list_that_ends_there() -> None:
    stays = await found(Shelf().put("v1.1.0", ELSEWHERE), running("v1.0.0"))

    nothing_else = "v1.0.0 runs; shop offers nothing else"
    assert Decision(Action.WAIT, nothing_else) == stays.decision


async def test_withdrawn_version_makes_way_and_is_told() -> None:
    shelf = Shelf().put("v0.8.0").put("v0.9.0")

    goes = await found(shelf, running("v1.0.0"), withdrawn=True)

    assert (Action.DEPLOY, "v0.9.0", []) == told(goes)
    assert "v1.0.0 was withdrawn" == goes.why


@pytest.mark.parametrize("tag", ["v0.9.0", "v1.0.0+b"])
async def test_withdrawn_version_makes_way_after_rollback_too(tag: str) -> None:
    state = running("v1.0.0", quarantine=out("v1.2.0"), back_at=NOW - 60)

    goes = await found(Shelf().put(tag), state, withdrawn=True)

    assert (Action.DEPLOY, tag, []) == told(goes)


async def test_newer_version_needs_no_withdrawal() -> None:
    shelf = Shelf().put("v0.9.0").put("v1.1.0")

    assert (Action.DEPLOY, "v1.1.0", []) == told(await found(shelf, running("v1.0.0")))


async def test_equal_precedence_does_not_replace_running_version() -> None:
    """Which of the two is listed first may change from look to look."""
    shelf = Shelf().put("v1.0.0+2").put("v1.0.0+1").put("v0.9.0")

    assert (Action.SKIP, "v1.0.0+1", []) == told(
        await found(shelf, running("v1.0.0+1"))
    )


async def test_running_version_with_replaced_artifact_is_redeployed() -> None:
    state = running("v1.0.0")
    other = replace(state.running, identity="sha256:b")  # type: ignore[type-var]

    goes = await found(Shelf().put("v1.0.0"), replace(state, running=other))

    assert (Action.DEPLOY, "v1.0.0", []) == told(goes)


async def test_nothing_in_between_is_tried_after_a_rollback() -> None:
    """What was left is gone from the registry; what lies between never ran here."""
    shelf = Shelf().put("v1.0.0").put("v1.1.0")
    state = running("v1.0.0", quarantine=out("v1.2.0"), back_at=NOW - 60)

    waits = await found(shelf, state)

    assert Action.WAIT is waits.decision.action
    assert (
        "v1.0.0 runs after a rollback from v1.2.0, so v1.1.0 is not tried by itself; "
        "`dewy deploy v1.1.0` does"
    ) == waits.decision.reason


async def test_version_newer_than_rolled_back_version_is_deployed() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0").put("v1.3.0")
    state = running("v1.0.0", quarantine=out("v1.2.0"), back_at=NOW - 60)

    assert (Action.DEPLOY, "v1.3.0", []) == told(await found(shelf, state))


@pytest.mark.parametrize(
    "quarantine",
    [
        Quarantine(),
        Quarantine((QuarantineEntry("v1.1.0", "mended", "", 1, NOW, None),)),
    ],
    ids=["out of quarantine", "other bytes"],
)
async def test_version_that_rollback_left_is_deployed_if_free(
    quarantine: Quarantine,
) -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0")
    state = running("v1.0.0", back_at=NOW - 60, quarantine=quarantine)

    assert (Action.DEPLOY, "v1.1.0", []) == told(await found(shelf, state))


async def test_files_that_fit_equally_well_are_an_error_while_something_runs() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0", Ambiguous("a and b"))

    with pytest.raises(Ambiguous):
        await found(shelf, running("v1.0.0"))
    assert (Action.DEPLOY, "v1.0.0", ["v1.1.0"]) == told(await found(shelf, State()))


async def test_look_has_bounds() -> None:
    shelf = Shelf()
    for number in range(3 * MOST):
        shelf.put(f"v1.{number}.0", ELSEWHERE)

    with pytest.raises(NoRelease):
        await found(shelf, State())

    assert MOST == len(shelf.asked)


async def test_details_that_cost_nothing_have_no_bounds() -> None:
    shelf = Shelf().put("v1.0.0")
    for number in range(3 * MOST):
        shelf.put(f"v2.{number}.0", ELSEWHERE)

    candidates = replace(shelf.candidates(), costly=False)

    assert "v1.0.0" == (await find(candidates, State(), NOW, GRACE)).release.tag  # type: ignore[union-attr]


async def test_registry_that_names_its_release_decides_about_order() -> None:
    named = Candidates.only("server", release("v0.9.0"))

    goes = await find(named, running("v1.0.0"), NOW, GRACE)

    assert (Action.DEPLOY, "v0.9.0", []) == told(goes)


async def test_first_candidate_skips_unavailable_releases() -> None:
    shelf = Shelf().put("v1.0.0").put("v1.1.0", ELSEWHERE).put("v1.2.0", UPLOADING)

    best, passed = await first(shelf.candidates())

    assert "v1.0.0" == best.tag
    assert [("v1.2.0", UPLOADING), ("v1.1.0", ELSEWHERE)] == passed


async def test_first_of_nothing_is_no_release() -> None:
    """The look has bounds, and the names that were refused are told."""
    versions = {f"v1.{n}.0": NoRelease(f"{n} is empty") for n in range(3 * MOST)}
    for trouble, troubles in [
        ("59 is empty", versions),
        ("shop holds no version for this host", {}),
    ]:
        shelf = Shelf().put("latest")
        shelf.troubles |= troubles
        with pytest.raises(NoRelease, match=f"^{trouble}$") as caught:
            await first(shelf.candidates())

        assert "latest" in [each.name for each in caught.value.refused]
        assert min(MOST, len(troubles)) == len(shelf.asked)


async def test_empty_registry_is_an_error_while_something_runs() -> None:
    """It is a mount that went rather than a list."""
    with pytest.raises(NoRelease, match=r"^shop holds no version for this host$") as no:
        await found(Shelf().put("latest"), running("v1.0.0"))

    assert ["latest"] == [each.name for each in no.value.refused]


async def test_files_that_were_looked_at_are_told() -> None:
    files = [Refusal(f"app_{number}.zip", "for darwin") for number in range(5)]
    shelf = Shelf().put("v1.0.0").put("v1.1.0", NoRelease("no artifact", files, OLD))

    (passed,) = (await found(shelf, State())).passed_over

    assert (
        "no artifact (app_0.zip: for darwin, app_1.zip: for darwin, "
        "app_2.zip: for darwin, and 2 more)"
    ) == passed.reason
    shelf.put("v1.1.0", NoRelease("answers 404"))
    (passed,) = (await found(shelf, State())).passed_over
    assert "answers 404" == passed.reason


def test_many_refusals_are_counted() -> None:
    many = [Refusal(f"v1.{number}.0", "for darwin") for number in range(1299)]

    assert "and 1294 more" == in_short(many)[-1]
    assert ["v1.0.0: for darwin", "and 1 more"] == in_short(many[:2], 1)
    assert ["v1.0.0: for darwin", "and 1298 more"] == in_short(many, 1)
    assert ["v1.0.0: for darwin"] == in_short(many[:1], 1)


def test_versions_passed_over_that_are_not_named_are_counted() -> None:
    passed = tuple(Refusal(f"v1.{n}.0", "it is empty") for n in (4, 3, 2, 1))
    found = Found(None, Decision(Action.DEPLOY, "v1.0.0 is new"), passed)

    assert (
        "the newest that this host can have; passed over: v1.4.0, v1.3.0, v1.2.0 and "
        "1 more"
    ) == found.why
    assert replace(found, passed_over=passed[1:]).why.endswith("v1.2.0, v1.1.0")
    assert "" == replace(found, passed_over=()).why
    assert {"name": "v1.4.0", "reason": "it is empty"} == found.to_json()[0]
