"""The operators' verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dewy.deploy.plan import Action, plan
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State
from dewy.deploy.verbs import (
    BY_OPERATOR,
    confirm,
    deploy,
    hold,
    retry,
    rollback,
    settle,
    stay,
    to_pass_over,
    unhold,
)
from dewy.errors import DewyError
from dewy.release import Release
from dewy.system import Clock

V1 = Installed("v1", "one", "1", 1.0)
V2 = Installed("v2", "two", "2", 2.0)
V3 = Installed("v3", "three", "3", 3.0)
CLOCK = Clock(wall=lambda: 1000.0, jitter=lambda: 0.5)
RUNNING = State(running=V3, installed=(V3, V2, V1))


def bad(*releases: Installed) -> Quarantine:
    quarantine = Quarantine()
    for each in releases:
        quarantine = quarantine.add(each.tag, each.identity, "no", CLOCK, traffic=True)
    return quarantine


def refusal(verb: Callable[..., object], *args: Any) -> str:
    with pytest.raises(DewyError) as refused:
        verb(*args)
    return str(refused.value)


HELD = replace(RUNNING, hold=True)


@pytest.mark.parametrize(
    "state", [RUNNING, HELD, replace(HELD, provisional=True, gone=V2)]
)
def test_hold_is_for_good_and_undone_by_unhold(state: State) -> None:
    assert (HELD, "held at v3; `dewy unhold` ends it") == hold(state)
    freed = (RUNNING, "no longer held; the next poll deploys what is new")
    assert freed == unhold(HELD) == unhold(replace(HELD, provisional=True))
    assert (RUNNING, "was not held") == unhold(RUNNING)


def test_hold_of_empty_root_does_not_keep_out_the_first_release() -> None:
    told = "held, but nothing runs: the first release is still deployed; `dewy unhold`"

    assert (State(hold=True), f"{told} ends it") == hold(State())


def test_retry_lets_a_version_out() -> None:
    """All of its bytes."""
    state = replace(RUNNING, quarantine=bad(V1, V2))
    after, message = retry(state, "v2")

    assert ["v1"] == [entry.tag for entry in after.quarantine]
    assert "v2 is out of quarantine" in message


V100, V110, V130 = (
    Installed(f"v1.{minor}.0", str(minor), str(minor), minor) for minor in (0, 1, 3)
)
BACK = State(running=V100, installed=(V100, V130, V110), back_at=9.0)


@pytest.mark.parametrize("newest", ["", "v1.3.0"])
def test_retry_below_a_newer_version_in_quarantine_says_so(newest: str) -> None:
    """Polls find that one first, and wait."""
    state = replace(BACK, quarantine=bad(V110, V130))
    message = retry(state, "v1.1.0", newest=newest)[1]

    assert message.startswith("v1.1.0 is out of quarantine; but not deployed while ")
    assert "v1.3.0, which is newer, is in quarantine" in message
    assert message.endswith("`dewy deploy v1.1.0` deploys it")


def named(*tags: str) -> list[Installed]:
    return [Installed(tag, tag, tag, 1.0) for tag in tags]


def test_retry_names_the_newest_version_in_quarantine() -> None:
    kept_out = named("v1.9.0", "v1.10.0", "nightly")
    message = retry(replace(BACK, quarantine=bad(V110, *kept_out)), "v1.1.0")[1]

    assert "while v1.10.0, which is newer" in message


@pytest.mark.parametrize(
    ("state", "tag", "newest"),
    [
        (replace(BACK, quarantine=bad(V110, V130)), "v1.3.0", "v1.3.0"),
        (replace(BACK, quarantine=bad(V110, V130)), "v1.1.0", "v1.1.0"),
        (replace(BACK, running=None, quarantine=bad(V110, V130)), "v1.1.0", ""),
        (replace(BACK, quarantine=bad(V100, V110, V130)), "v1.1.0", ""),
        (replace(BACK, hold=True, quarantine=bad(V100, V130)), "v1.0.0", ""),
        (replace(BACK, quarantine=bad(V130, *named("nightly"))), "nightly", ""),
        (
            replace(BACK, quarantine=bad(*named("v1.2.0", "v1.0.5", "v1.2.0+b", "x"))),
            "v1.2.0",
            "",
        ),
    ],
    ids=[
        "newest",
        "other gone",
        "nothing runs",
        "stopgap runs",
        "runs",
        "no version",
        "none is newer",
    ],
)
def test_retry_reports_version_is_redeployed_if_newest(
    state: State, tag: str, newest: str
) -> None:
    assert (
        f"{tag} is out of quarantine; it is deployed again if it is the newest"
        == (retry(state, tag, newest=newest)[1])
    )


def test_rollback_without_good_target_suggests_explicit_version() -> None:
    state = replace(BACK, quarantine=bad(V130, V110))
    with pytest.raises(DewyError) as refused:
        rollback(state, None, CLOCK, [V130])

    assert (
        "there is nothing to roll back to: in quarantine: v1.3.0, v1.1.0; "
        "`dewy rollback v1.1.0` goes there all the same"
    ) == str(refused.value)
    assert V110 == rollback(state, "v1.1.0", CLOCK)[0].running


def test_rollback_again_never_goes_forward() -> None:
    """After `retry v1.1.0` it went up from v1.0.0."""
    state = replace(BACK, quarantine=bad(V130))
    with pytest.raises(DewyError) as refused:
        rollback(state, None, CLOCK)

    assert "deployed later: v1.1.0; `dewy rollback v1.1.0` goes" in str(refused.value)
    assert state.rollback_target() is None
    assert V110 == replace(state, back_at=0.0).rollback_target()


def test_second_rollback_reaches_release_dated_in_future() -> None:
    """Its time is after that of the first rollback: it cannot be."""
    ahead = replace(V100, at=1e6)
    state = replace(
        BACK, running=V110, installed=(V110, V130, ahead), quarantine=bad(V130)
    )

    assert ahead == rollback(state, None, CLOCK)[0].running


def test_retry_of_unquarantined_version_lists_quarantine() -> None:
    """A slip of the finger is seen at once."""
    state = replace(RUNNING, quarantine=bad(V1, V2))

    assert "v9 is not in quarantine (in it: v1, v2)" == refusal(retry, state, "v9")
    assert "v9 is not in quarantine (it is empty)" == refusal(retry, RUNNING, "v9")


def test_rollback_goes_to_the_previous_release() -> None:
    """And what it leaves does not come back by itself."""
    after, message = rollback(RUNNING, None, CLOCK)
    left = after.quarantine.find("v3", "three")

    assert V2 == after.running
    assert (3.0, 1000.0) == (RUNNING.since, after.since)
    assert left is not None
    assert (BY_OPERATOR, None, "operator") == (left.reason, left.until, left.by)
    assert BY_OPERATOR == after.because
    assert {V1, V2, V3} == set(after.installed)
    assert "rolled back to v2; v3 stays out until `dewy retry v3`" == message


def test_rollback_skips_quarantined_version() -> None:
    """Going from one bad release to another helps nobody."""
    after, _ = rollback(replace(RUNNING, quarantine=bad(V2)), None, CLOCK)

    assert V1 == after.running


def test_rollback_again_goes_further_back() -> None:
    """Not to and fro."""
    once, _ = rollback(RUNNING, None, CLOCK)
    twice, _ = rollback(once, None, CLOCK)

    assert V1 == twice.running


def test_rollback_to_named_version_ends_its_quarantine() -> None:
    """Whoever names it means it."""
    after, _ = rollback(replace(RUNNING, quarantine=bad(V1)), "v1", CLOCK)

    assert V1 == after.running
    assert ["v3"] == [entry.tag for entry in after.quarantine]


def test_rollback_under_hold_succeeds_and_keeps_hold() -> None:
    """Hold is against new versions, not against the way back."""
    state = replace(HELD, provisional=True, wanted="v3")
    after, _ = rollback(state, None, CLOCK)

    assert V2 == after.running
    assert (True, False) == (after.hold, after.provisional)
    assert "" == after.wanted


def test_rolled_back_version_is_not_deployed_again() -> None:
    """The next poll still finds it the newest; a newer one is deployed as usual."""
    after, _ = rollback(RUNNING, None, CLOCK)
    left = Release("v3", "mem://x/v3", "three")
    newer = Release("v4", "mem://x/v4", "four")

    assert Action.WAIT == plan(after, left, 10**12).action
    assert Action.DEPLOY == plan(after, newer, 1000).action


def test_rollback_to_missing_version_lists_kept_versions() -> None:
    """Only what is on this host can be started without the registry."""
    kept = "v9 is not on this host (kept: v2, v1)"
    none = "v9 is not on this host (no other release is kept)"

    assert kept == refusal(rollback, RUNNING, "v9", CLOCK)
    assert none == refusal(rollback, State(), "v9", CLOCK)
    gone = "the files of v2 are gone from this host"
    assert gone == refusal(rollback, RUNNING, "v2", CLOCK, [V2])


def test_rollback_to_running_version_is_refused() -> None:
    """It would quarantine the version it is to start."""
    with pytest.raises(DewyError, match="v3 runs already"):
        rollback(RUNNING, "v3", CLOCK)


def test_rollback_finds_the_earlier_bytes_of_a_replaced_tag() -> None:
    """Two releases of one name: the one that does not run is meant."""
    replaced = Installed("v1", "uno", "9", 9.0)
    state = State(running=replaced, installed=(replaced, V1))
    after, _ = rollback(state, "v1", CLOCK)

    assert V1 == after.running
    assert after.quarantine.find("v1", "uno")
    assert after.quarantine.find("v1", "one") is None


def test_rollback_without_anything_to_go_to_says_why() -> None:
    """Nothing kept, or nothing good."""
    alone = State(running=V3, installed=(V3,))
    nothing = "there is nothing to roll back to:"

    assert f"{nothing} no other release is kept on this host" == refusal(
        rollback, alone, None, CLOCK
    )
    state = replace(RUNNING, quarantine=bad(V2))
    assert (
        f"{nothing} in quarantine: v2; gone from disk: v1; "
        "`dewy rollback v2` goes there all the same"
    ) == refusal(rollback, state, None, CLOCK, [V1])


def test_rollback_from_an_unnamed_release_holds_the_root() -> None:
    """Without a tag no entry could keep it out: the next poll brought it back."""
    unnamed = Installed("", "", "20310203T040506Z", 9.0)
    state = State(running=unnamed, installed=(unnamed, V1))
    after, message = rollback(state, None, CLOCK)

    assert V1 == after.running
    assert (
        "rolled back to v1; held, for what was left has no version; "
        "`dewy unhold` ends it"
    ) == message
    assert [] == list(after.quarantine)
    assert (True, False) == (after.hold, after.provisional)


def test_deploy_is_remembered_for_the_next_start() -> None:
    """And takes the version out of quarantine: whoever names it means it."""
    after, message = deploy(replace(RUNNING, quarantine=bad(V2)), "v2")

    assert "v2" == after.wanted
    assert [] == list(after.quarantine)
    assert "the next start deploys v2" in message


def test_deploy_without_version_clears_wanted_version() -> None:
    """It takes back a version that was asked for."""
    after, message = deploy(replace(RUNNING, wanted="v2"), None)

    assert "" == after.wanted
    expected = "no dewy runs here; the next start deploys the newest release anyway"
    assert expected == message


def test_deploy_is_refused_under_hold() -> None:
    """And says what can be done; a provisional hold keeps out nothing named."""
    provisional = replace(HELD, provisional=True)
    told = (
        "this root is on hold; run `dewy unhold` first, or "
        "`dewy rollback VERSION` for a version that it had"
    )

    assert told == refusal(deploy, HELD, "v2") == refusal(deploy, provisional, None)
    assert "v2" == deploy(provisional, "v2")[0].wanted


V0 = Installed("v0", "zero", "0", 0.5)


@pytest.mark.parametrize(
    ("version", "missing", "message"),
    [
        (None, [V2], "v1; passed over, for not on this host: v2"),
        (None, [V2, V1], "v0; passed over, for not on this host: v2, v1"),
        (None, [V2, V0], "v1; passed over, for not on this host: v2"),
        (None, [V1], "v2"),
        ("v1", [V2], "v1"),
    ],
)
def test_rollback_names_releases_passed_over(
    version: str | None, missing: list[Installed], message: str
) -> None:
    state = replace(RUNNING, installed=(V3, V2, V1, V0))
    expected = f"rolled back to {message}; v3 stays out until `dewy retry v3`"

    assert expected == rollback(state, version, CLOCK, missing)[1]


GONE = replace(State(V2, (V2, V1), gone=V3), wanted="v9", provisional=True)


@pytest.mark.parametrize("version", [None, "v2"])
def test_rollback_stays_at_stand_in_for_release_that_is_gone(
    version: str | None,
) -> None:
    after, message = rollback(GONE, version, CLOCK)
    left = after.quarantine.find("v3", "three")

    assert "v2 keeps running; v3 stays out until `dewy retry v3`" == message
    assert left is not None
    assert (BY_OPERATOR, None, "operator") == (left.reason, left.until, left.by)
    kept_out = Quarantine((left,))
    expected = State(V2, (V2, V1), kept_out, because=BY_OPERATOR, back_at=1000.0)
    assert expected == after


def test_rollback_beyond_stand_in_leaves_both_versions() -> None:
    after, message = rollback(GONE, "v1", CLOCK)

    assert (V1, None) == (after.running, after.gone)
    assert (
        "rolled back to v1; v2 stays out until `dewy retry v2`; "
        "v3 stays out until `dewy retry v3`"
    ) == message


def test_stay_changes_nothing_where_nothing_is_gone() -> None:
    assert RUNNING == stay(RUNNING, CLOCK)


def test_release_that_may_be_fetched_is_passed_over_only_for_another() -> None:
    assert [V2] == to_pass_over(RUNNING, [], [V2])
    assert [V2] == to_pass_over(RUNNING, [V2], [V1])


@pytest.mark.parametrize(
    ("state", "hold", "expected"),
    [
        (RUNNING, False, (False, False)),
        (RUNNING, True, (True, True)),
        (HELD, True, (True, False)),
        (replace(HELD, provisional=True), True, (True, True)),
        (replace(HELD, provisional=True), False, (True, True)),
    ],
)
def test_version_asked_for_by_name_stays(
    state: State, hold: bool, expected: tuple[bool, bool]
) -> None:
    doubted = replace(state, quarantine=bad(V2, V3), wanted="v3", gone=V2)
    after = confirm(doubted, hold=hold)

    assert expected == (after.hold, after.provisional)
    assert bad(V2) == after.quarantine
    assert ("", None) == (after.wanted, after.gone)
    assert State(hold=hold, provisional=hold) == confirm(State(), hold=hold)


@pytest.mark.parametrize(
    ("state", "tag", "newest", "expected"),
    [
        (replace(HELD, provisional=True), "v3", False, HELD),
        (replace(HELD, provisional=True), "v3", True, RUNNING),
        (HELD, "v3", True, HELD),
    ],
)
def test_provisional_hold_ends_at_newest_version(
    state: State, tag: str, newest: bool, expected: State
) -> None:
    assert expected == settle(state, tag, newest=newest)


@pytest.mark.parametrize("running", [V2, None])
def test_provisional_hold_of_another_version_is_not_settled(
    running: Installed | None,
) -> None:
    state = State(running, hold=True, provisional=True)

    assert state == settle(state, "v3", newest=True)
