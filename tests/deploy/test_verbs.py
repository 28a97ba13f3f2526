"""What operators ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dewy.deploy.plan import Action, plan
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State
from dewy.deploy.verbs import BY_OPERATOR, deploy, hold, retry, rollback, unhold
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


def test_hold_and_unhold_are_undone_by_each_other() -> None:
    """There was no way to pin a version."""
    held, message = hold(RUNNING)
    free, _ = unhold(held)

    assert held.hold
    assert "held at v3" in message
    assert free == RUNNING


def test_hold_twice_is_no_error() -> None:
    """Scripts say it again."""
    held, _ = hold(RUNNING)

    assert held == hold(held)[0]
    assert (RUNNING, "was not held") == unhold(RUNNING)
    assert hold(State())[0].hold


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


@pytest.mark.parametrize(
    ("state", "tag", "newest"),
    [
        (replace(BACK, quarantine=bad(V110, V130)), "v1.3.0", "v1.3.0"),
        (replace(BACK, quarantine=bad(V110, V130)), "v1.1.0", "v1.1.0"),
        (replace(BACK, running=None, quarantine=bad(V110, V130)), "v1.1.0", ""),
    ],
    ids=["newest", "other gone", "nothing runs"],
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
    with pytest.raises(DewyError, match=r"v9 is not in quarantine \(in it: v1, v2\)"):
        retry(replace(RUNNING, quarantine=bad(V1, V2)), "v9")
    with pytest.raises(DewyError, match="it is empty"):
        retry(RUNNING, "v9")


def test_rollback_goes_to_the_previous_release() -> None:
    """And what it leaves does not come back by itself."""
    after, message = rollback(RUNNING, None, CLOCK)
    left = after.quarantine.find("v3", "three")

    assert V2 == after.running
    assert (3.0, 1000.0) == (RUNNING.since, after.since)
    assert left is not None
    assert (BY_OPERATOR, None) == (left.reason, left.until)
    assert {V1, V2, V3} == set(after.installed)
    assert "rolled back to v2; v3 stays out" in message


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
    after, _ = rollback(replace(RUNNING, hold=True, wanted="v3"), None, CLOCK)

    assert V2 == after.running
    assert after.hold
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
    with pytest.raises(DewyError, match=r"v9 is not on this host \(kept: v2, v1\)"):
        rollback(RUNNING, "v9", CLOCK)
    with pytest.raises(DewyError, match="no other release is kept"):
        rollback(State(), "v9", CLOCK)


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
    with pytest.raises(DewyError, match="no other release is kept on this host"):
        rollback(State(running=V3, installed=(V3,)), None, CLOCK)
    with pytest.raises(DewyError, match="nothing to roll back to: in quarantine: v2"):
        state = State(running=V3, installed=(V3, V2), quarantine=bad(V2))
        rollback(state, None, CLOCK)


def test_rollback_from_an_unnamed_release_holds_the_root() -> None:
    """Without a tag no entry could keep it out: the next poll brought it back."""
    unnamed = Installed("", "", "20310203T040506Z", 9.0)
    state = State(running=unnamed, installed=(unnamed, V1))
    after, message = rollback(state, None, CLOCK)

    assert V1 == after.running
    assert "; held, for what was left has no version; `dewy unhold` ends it" in message
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
    assert "anyway" in message


def test_deploy_is_refused_under_hold() -> None:
    """And says what can be done."""
    with pytest.raises(DewyError, match="dewy unhold"):
        deploy(replace(RUNNING, hold=True), "v2")
