"""Choosing the newest version a host may have."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.errors import ConfigError
from dewy.versions import Constraint, Rules, choose, key_of, precedence, slot_of
from dewy.versions.version import parse_semver

NAMES = st.lists(
    st.builds(
        "{}1.{}.{}{}{}".format,
        st.sampled_from(["", "v"]),
        st.integers(0, 2),
        st.integers(0, 11),
        st.sampled_from(["", "-rc.1", "-rc.2", "-beta", "-stable.1"]),
        st.sampled_from(["", "+blue", "+green"]),
    )
    | st.sampled_from(["latest", "nightly"]),
    max_size=12,
)
RULES = st.builds(
    Rules,
    pre_release=st.booleans(),
    channels=st.sampled_from([(), ("stable",), ("rc",), ("stable", "BETA")]),
    slot=st.sampled_from(["", "blue"]),
)


def chosen(names: list[str], rules: Rules) -> str | None:
    best = choose(names, rules).best
    return best.tag if best else None


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(), "v1.10.0"),
        (Rules(pre_release=True), "v2.0.0-rc.2"),
        (Rules(channels=("stable",)), "v1.10.0"),
        (Rules(channels=("stable",), pre_release=True), "v1.10.0"),
        (Rules(channels=("rc",)), "v2.0.0-rc.2"),
        (Rules(channels=("BETA",)), "v2.0.0-beta"),
        (Rules(channels=("stable", "beta")), "v2.0.0-beta"),
        (Rules(channels=("canary",)), None),
        (Rules(slot="blue"), "v1.9.0+blue"),
        (Rules(slot="Blue"), None),
    ],
)
def test_chooses_the_newest_the_rules_allow(rules: Rules, expected: str | None) -> None:
    names = [
        "latest",
        "v1.9.0+blue",
        "v1.10.0",
        "v2.0.0-beta",
        "v2.0.0-rc.2",
        "v2.0.0-rc.1",
        "v1.2.0",
    ]

    assert expected == chosen(names, rules)


def test_a_newer_version_of_another_slot_never_hides_ours() -> None:
    """Regression: choosing first and comparing slots after starved the host."""
    assert "v1.0.0+blue" == chosen(
        ["v2.0.0+green", "v1.0.0+blue", "v0.9.0+blue"], Rules(slot="blue")
    )


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_version_built_for_both_slots_is_chosen_for_each(slot: str) -> None:
    """Regression: only the slot that was listed first was ever seen."""
    names = ["v1.0.0+green", "v1.0.0+blue"]

    assert f"v1.0.0+{slot}" == chosen(names, Rules(slot=slot))


def test_a_newer_pre_release_never_hides_the_release() -> None:
    assert "v1.0.0" == chosen(["v2.0.0-rc.1", "v1.0.0"], Rules())


def test_a_pre_release_that_calls_itself_stable_is_none() -> None:
    choice = choose(["v1.0.0-stable.1", "v0.9.0"], Rules(channels=("stable",)))

    assert choice.best == parse_semver("v0.9.0")
    assert ["pre-release"] == [refusal.reason for refusal in choice.refused]


@pytest.mark.parametrize(
    "names", [["v1.0.0+blue", "1.0.0+green"], ["1.0.0+green", "v1.0.0+blue"]]
)
def test_the_first_listed_of_equals_wins(names: list[str]) -> None:
    assert names[0] == chosen(names, Rules())


def test_tells_why_each_other_name_was_refused() -> None:
    choice = choose(
        [
            "nightly",
            "v1.3.0-beta.1+blue",
            "v1.2.0+blue",
            "v9.0.0+green",
            "v9.0.0",
            "v1.2.0+blue",
            "v1.1.0+blue",
        ],
        Rules(slot="blue"),
    )

    assert choice.best == parse_semver("v1.2.0+blue")
    assert [
        ("nightly", "not a semantic version"),
        ("v1.3.0-beta.1+blue", "pre-release"),
        ("v9.0.0+green", "slot green, not blue"),
        ("v9.0.0", "no slot, not blue"),
        ("v1.2.0+blue", "equal to v1.2.0+blue, which is listed first"),
        ("v1.1.0+blue", "older than v1.2.0+blue"),
    ] == [(refusal.name, refusal.reason) for refusal in choice.refused]


def test_tells_the_channel_that_was_refused() -> None:
    (refusal,) = choose(["v1.0.0-beta.1"], Rules(channels=("stable", "rc"))).refused

    assert "channel beta, not stable or rc" == refusal.reason


def test_of_no_names_there_is_no_choice() -> None:
    choice = choose([], Rules())

    assert choice.best is None
    assert () == choice.refused


def test_calendar_versions_are_chosen_by_their_own_format() -> None:
    choice = choose(
        ["2024.06.9", "2024.06.10", "2025.1.0", "2024.07.0-rc.1"],
        Rules(calver="YYYY.0M.MICRO"),
    )

    assert choice.best is not None
    assert "2024.06.10" == choice.best.tag
    assert "not a calendar version of the form YYYY.0M.MICRO" in [
        refusal.reason for refusal in choice.refused
    ]


def test_rules_with_a_useless_format_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="calver format"):
        Rules(calver="1.2.3")


@given(NAMES, RULES)
def test_every_name_is_chosen_or_refused(names: list[str], rules: Rules) -> None:
    choice = choose(names, rules)

    told = [refusal.name for refusal in choice.refused]
    assert sorted(names) == sorted(told + ([choice.best.tag] if choice.best else []))


@given(NAMES, RULES, st.randoms(use_true_random=False))
def test_the_order_of_names_decides_among_equals_only(
    names: list[str], rules: Rules, rng: random.Random
) -> None:
    shuffled = rng.sample(names, len(names))
    one, other = choose(names, rules).best, choose(shuffled, rules).best

    assert (one and one.key) == (other and other.key)


@given(NAMES, RULES)
def test_chosen_version_satisfies_rules(names: list[str], rules: Rules) -> None:
    best = choose(names, rules).best

    if best is None:
        return
    assert rules.slot in ("", best.slot)
    if rules.channels:
        assert best.channel in [channel.lower() for channel in rules.channels]
    else:
        assert rules.pre_release or not best.pre_release


@pytest.mark.parametrize(
    ("tag", "calver", "expected"),
    [
        ("v1.2.3+blue", "", "blue"),
        ("v1.2.3", "", ""),
        ("2024.06+green", "YYYY.0M", "green"),
        ("v1.2.3+blue", "YYYY.0M", "blue"),
        ("latest+blue", "", ""),
    ],
)
def test_the_slot_of_a_tag(tag: str, calver: str, expected: str) -> None:
    assert expected == slot_of(tag, calver)
    assert calver or expected == slot_of(tag)


def test_versions_outside_a_constraint_are_left_out() -> None:
    rules = Rules(constraint=Constraint.parse("^1.2"))

    choice = choose(["v1.1.0", "v1.2.5", "v2.0.0"], rules)

    assert choice.best
    assert "v1.2.5" == choice.best.tag
    assert {"outside ^1.2"} == {refusal.reason for refusal in choice.refused}


def test_constraint_is_for_semantic_versions() -> None:
    with pytest.raises(ConfigError, match=r"^constraint is .*, not for calver$"):
        Rules(calver="YYYY.MM", constraint=Constraint.parse("1"))


@pytest.mark.parametrize(
    ("tag", "slot", "expected"),
    [
        ("v1.2.3-blue", "blue", ("1.2.3", "", "blue")),
        ("v1.2.3-rc.1-blue", "blue", ("1.2.3", "rc.1", "blue")),
        ("v1.2.3+blue", "blue", ("1.2.3", "", "blue")),
        ("v1.2.3-dark-blue", "dark-blue", ("1.2.3", "", "dark-blue")),
        ("v1.2.3-blue", "green", None),
        ("v1.2.3-blue", "", ("1.2.3", "blue", "")),
        ("v1.2.3-blue+green", "blue", None),
        ("v1.2.3blue", "blue", None),
    ],
)
def test_slot_may_end_a_name(
    tag: str, slot: str, expected: tuple[str, str, str] | None
) -> None:
    """Where names can't hold a `+`."""
    best = choose([tag], Rules(pre_release=True, slot=slot, dashed_slot=True)).best

    numbers = ".".join(map(str, best.numbers)) if best else ""
    assert expected == (best and (numbers, best.pre_release, best.slot))
    assert tag == (best.tag if best else tag)


def test_slot_ends_calendar_versions_too() -> None:
    rules = Rules(calver="YYYY.0M", slot="blue", dashed_slot=True)

    best = choose(["2031.02-blue", "2031.03-green"], rules).best

    assert best
    assert ("2031.02-blue", "blue") == (best.text, best.slot)


def test_dash_is_a_pre_release_elsewhere() -> None:
    rules = Rules(pre_release=True, slot="blue")

    assert choose(["v1.2.3-blue"], rules).best is None


def test_prefix_and_excluded_names_are_left_out() -> None:
    names = ["api-v1.0.0", "api-v1.1.0", "api-v1.2.0", "v9.0.0", "api-latest"]
    choice = choose(names, Rules(prefix="api-", exclude=("web-*", "*v1.2.*")))

    assert choice.best
    assert ("api-v1.1.0", "v1.1.0") == (choice.best.tag, choice.best.text)
    assert [
        ("api-v1.2.0", "excluded by *v1.2.*"),
        ("v9.0.0", "does not begin with api-"),
        ("api-latest", "not a semantic version"),
        ("api-v1.0.0", "older than api-v1.1.0"),
    ] == [(refusal.name, refusal.reason) for refusal in choice.refused]


@pytest.mark.parametrize(
    ("name", "rules", "expected"),
    [
        ("api-v1.1.0", Rules(prefix="api-", slot="blue"), "v1.1.0"),
        ("v1.1.0", Rules(prefix="api-"), "no version"),
        ("api-v1.1.0", Rules(), "no version"),
        ("v1.1.0-rc.1", Rules(exclude=("*",)), "v1.1.0-rc.1"),
    ],
)
def test_precedence_needs_no_permission(name: str, rules: Rules, expected: str) -> None:
    assert precedence(expected) == key_of(name, rules)
