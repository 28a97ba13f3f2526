"""Which versions stay out, and for how long."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.deploy.quarantine import (
    FURTHEST,
    LONGEST_DELAY,
    SPREAD,
    Quarantine,
    QuarantineEntry,
    delay,
)
from dewy.system import Clock

MINUTE = 60.0


def at(now: float, jitter: float = 0.5) -> Clock:
    return Clock(wall=lambda: now, monotonic=lambda: now, jitter=lambda: jitter)


def test_failure_before_traffic_is_tried_again_ever_later() -> None:
    """After 1, 2, 4 … 60 minutes, not every ten seconds for ever."""
    quarantine = Quarantine()
    waits = []
    for _ in range(8):
        quarantine = quarantine.add("v1", "a", "no", at(1000), traffic=False)
        entry = quarantine.find("v1", "a")
        assert entry is not None
        assert entry.until is not None
        waits.append((entry.until - 1000) / MINUTE)

    assert [1, 2, 4, 8, 16, 32, 60, 60] == waits


def test_failure_with_traffic_does_not_come_back_by_itself() -> None:
    """A version that hurt users once is not tried on them again."""
    quarantine = Quarantine().add("v1", "a", "died", at(0), traffic=True)

    assert quarantine.blocking("v1", "a", now=10**12)


def test_version_is_free_again_when_its_time_is_up() -> None:
    """The entry stays: how often it failed counts for the next time."""
    quarantine = Quarantine().add("v1", "a", "no", at(0), traffic=False)

    assert quarantine.blocking("v1", "a", now=59.9)
    assert quarantine.blocking("v1", "a", now=60) is None
    assert quarantine.find("v1", "a")


def test_replaced_artifact_is_a_new_candidate() -> None:
    """Other bytes under the same tag have not failed yet."""
    quarantine = Quarantine().add("v1", "a", "no", at(0), traffic=True)

    assert quarantine.blocking("v1", "b", now=0) is None
    assert quarantine.blocking("v2", "a", now=0) is None


def test_repeated_failures_are_counted_in_single_entry() -> None:
    """The latest reason is the one people see."""
    quarantine = Quarantine().add("v1", "a", "first", at(0), traffic=False)
    quarantine = quarantine.add("v2", "b", "other", at(1), traffic=False)
    quarantine = quarantine.add("v1", "a", "second", at(2), traffic=False)

    assert [("v2", 1, "other", 1), ("v1", 2, "second", 2)] == [
        (e.tag, e.failures, e.story, e.at) for e in quarantine
    ]


def test_story_ends_with_the_words_of_the_program() -> None:
    died = Quarantine().add("v1", "a", "died", at(0), traffic=True, detail="no db")

    assert ["died: no db"] == [entry.story for entry in died]


def test_release_lets_go_of_everything_under_a_tag() -> None:
    """Whoever says `dewy retry v1` doesn't think of bytes."""
    quarantine = Quarantine().add("v1", "a", "no", at(0), traffic=True)
    quarantine = quarantine.add("v1", "b", "no", at(0), traffic=True)
    quarantine = quarantine.add("v2", "c", "no", at(0), traffic=True)

    assert ["v2"] == [entry.tag for entry in quarantine.release("v1")]


def test_success_forgets_the_failures_of_these_bytes_only() -> None:
    """The other artifact under the tag proved nothing."""
    quarantine = Quarantine().add("v1", "a", "no", at(0), traffic=False)
    quarantine = quarantine.add("v1", "b", "no", at(0), traffic=False)

    assert ["b"] == [entry.identity for entry in quarantine.succeeded("v1", "a")]


def test_deadline_of_clock_that_ran_ahead_is_due() -> None:
    """A wrong clock must not keep a version out for years, and all say the same."""
    quarantine = Quarantine().add("v1", "a", "no", at(10**9), traffic=False)
    quarantine = quarantine.add("v2", "b", "no", at(10**9), traffic=True)
    clamped = quarantine.clamped(now=0)

    assert quarantine.blocking("v1", "a", now=0) is None
    assert quarantine.blocking("v2", "b", now=0)
    entry = clamped.find("v1", "a")
    assert entry is not None
    assert 0 == entry.until
    assert clamped == clamped.clamped(now=0)


@pytest.mark.parametrize(("ahead", "expected"), [(FURTHEST, True), (5000.0, False)])
def test_deadline_as_far_away_as_any_is_kept(ahead: float, expected: bool) -> None:
    entry = QuarantineEntry("v1", "a", "no", 9, 0.0, 1000.0 + ahead)
    (clamped,) = Quarantine((entry,)).clamped(now=1000.0)

    assert expected is entry.blocks(1000.0)
    assert expected is (entry == clamped)


def test_longest_delay_blocks_all_the_same() -> None:
    quarantine = Quarantine()
    for _ in range(9):
        quarantine = quarantine.add("v1", "a", "no", at(0, jitter=1), traffic=False)

    assert quarantine.blocking("v1", "a", now=0)
    assert quarantine.blocking("v1", "a", now=LONGEST_DELAY * (1 + SPREAD) - 1)


DAY = 86400.0
NONE: set[str] = set()


def kept(quarantine: Quarantine, *looks: tuple[float, set[str], bool]) -> list[str]:
    for day, tags, complete in looks:
        quarantine = quarantine.seen(tags, complete, day * DAY)
    return [entry.tag for entry in quarantine]


def test_timed_entry_of_vanished_version_goes_after_thirty_days() -> None:
    timed = Quarantine().add("v1", "a", "no", at(0), traffic=False)

    assert ["v1"] == kept(timed, (1, NONE, True), (30.9, NONE, True))
    assert [] == kept(timed, (1, NONE, True), (31, {"v2"}, True))


def test_entry_stays_while_version_may_be_there() -> None:
    """An incomplete list proves nothing, and one that has it begins anew."""
    timed = Quarantine().add("v1", "a", "no", at(0), traffic=False)

    assert ["v1"] == kept(timed, (1, NONE, False), (40, NONE, False))
    assert ["v1"] == kept(timed, (1, NONE, True), (20, {"v1"}, True), (40, NONE, True))


def test_absence_noted_by_clock_that_ran_ahead_begins_anew() -> None:
    timed = Quarantine().add("v1", "a", "no", at(0), traffic=False)

    assert ["v1"] == kept(timed, (900, NONE, True), (1, NONE, True), (30, NONE, True))
    assert [] == kept(timed, (900, NONE, True), (1, NONE, True), (31, NONE, True))


@pytest.mark.parametrize("by", ["operator", "fleet", ""])
def test_untimed_entry_never_goes_by_itself(by: str) -> None:
    """An operator's, a fleet's, and those with traffic."""
    lasting = Quarantine().add("v1", "a", "no", at(0), traffic=True, by=by)

    assert ["v1"] == kept(lasting, (1, NONE, True), (400, NONE, True))


def test_entry_becomes_timed_if_previous_version_also_fails() -> None:
    """A database that is down is nobody's fault."""
    quarantine = Quarantine().add("v2", "b", "died", at(0), traffic=True)
    eased = quarantine.eased("v2", "b", at(100)).find("v2", "b")

    assert eased is not None
    assert 160 == eased.until
    assert quarantine == quarantine.eased("v1", "a", at(100))
    others = quarantine.add("v1", "a", "no", at(0), traffic=True)
    assert others.find("v1", "a") == others.eased("v2", "b", at(100)).find("v1", "a")


def test_entry_of_person_is_never_eased() -> None:
    quarantine = Quarantine().add("v2", "b", "bad", at(0), traffic=True, by="operator")

    assert quarantine == quarantine.eased("v2", "b", at(100))


def test_words_in_entry_of_older_dewy_are_private() -> None:
    """They were in its reason."""
    old = {"tag": "v1", "identity": "a", "failures": 1, "at": 0.0, "until": 60.0}
    (entry,) = Quarantine.from_json({"entries": [{**old, "reason": "db password=x"}]})

    assert ("it failed before", "db password=x") == (entry.reason, entry.detail)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_delay_is_spread_but_bounded(failures: int, random: float) -> None:
    """Hosts of a fleet do not return in step, and none waits for days."""
    shortest, longest = MINUTE * (1 - SPREAD), LONGEST_DELAY * (1 + SPREAD)

    assert shortest - 1e-6 <= delay(failures, random) <= longest + 1e-6


@pytest.mark.parametrize(("random", "expected"), [(0.0, 48), (0.5, 60), (1.0, 72)])
def test_spread_is_a_fifth_either_way(random: float, expected: float) -> None:
    """Of the first delay, one minute."""
    assert pytest.approx(expected) == delay(1, random)


def test_quarantine_survives_being_written() -> None:
    """Keys of a newer dewy are passed over."""
    entries = (
        QuarantineEntry("v1", "a", "no", 2, 1.5, None),
        QuarantineEntry("v2", "b", "no", 1, 1.5, 60.0, "no db"),
    )
    data = json.loads(json.dumps(asdict(Quarantine(entries))))
    data["entries"][0]["colour"] = "red"

    assert Quarantine(entries) == Quarantine.from_json(data)
    del data["entries"][0]["detail"]
    assert Quarantine(entries) == Quarantine.from_json(data)
    assert Quarantine() == Quarantine.from_json({})


def test_change_is_applied_and_reverted_on_newer_quarantine() -> None:
    old = Quarantine().add("v1", "a", "r", Clock(), traffic=True)
    new = old.release("v1").add("v2", "b", "r", Clock(), traffic=True)
    later = old.add("v3", "c", "r", Clock(), traffic=True)

    moved = later.moved(old, new)

    assert ["v3", "v2"] == [entry.tag for entry in moved]
    assert ["v3", "v1"] == [entry.tag for entry in moved.moved(new, old)]


def test_entry_without_identity_keeps_out_whatever_has_its_tag():
    bad = Quarantine().add("v2", "", "died", Clock(), traffic=True)

    assert bad.blocking("v2", "new bytes", 0.0)
    assert bad.blocking("v3", "new bytes", 0.0) is None
    assert () == bad.succeeded("v2", "new bytes").entries
