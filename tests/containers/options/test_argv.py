"""The grammar of the words after `--`."""

from __future__ import annotations

import pytest

from dewy.containers.options.argv import given
from dewy.containers.options.run_options import REFUSED, REFUSED_SHORTS
from dewy.errors import ConfigError


def told(*words: str) -> list[tuple[str, str]]:
    return [(each.option.name, each.text) for each in given(words)]


def refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        told(*words)
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ("--memory", "5m"),
        ("--memory=5m",),
        ("-m", "5m"),
        ("-m5m",),
        ("-m=5m",),
        ("-qm5m",),
        ("-qm", "5m"),
        ("-qm=5m",),
    ],
)
def test_value_follows_in_every_usual_way(words: tuple[str, ...]) -> None:
    """As for `docker run`; flags may stand before it in one word."""
    assert ("memory", "5m") == told(*words)[-1]


@pytest.mark.parametrize(
    "value", ["-d", "-it", "-p80:80", "--privileged", "", "-", "--"]
)
def test_value_may_begin_with_anything(value: str) -> None:
    """The original refused values for what options begin with."""
    assert [("health-cmd", value)] == told("--health-cmd", value)
    assert [("env", f"A={value}")] == told("-e", f"A={value}")
    assert [("label", value)] == told(f"--label={value}")


def test_flags_may_be_given_a_value_with_an_equals_sign_only() -> None:
    """The next word is another option."""
    assert [("init", "true"), ("read-only", "false"), ("memory", "1")] == told(
        "--init", "--read-only=false", "-m", "1"
    )


def test_older_names_are_understood() -> None:
    """They still are by docker."""
    assert [("network", "a"), ("network-alias", "b"), ("dns-option", "c")] == told(
        "--net", "a", "--net-alias=b", "--dns-opt", "c"
    )


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("form", ["--{}", "--{}=x"])
def test_refused_option_is_named_with_the_reason(name: str, form: str) -> None:
    """However it is written, and wherever it stands."""
    expected = f"run option --{name} cannot be used: {REFUSED[name]}"

    assert expected == refusal("-e", "A=b", form.format(name))


@pytest.mark.parametrize("letter", REFUSED_SHORTS)
@pytest.mark.parametrize("form", ["-{}", "-{}80:80", "-{}=x", "-q{}", "-q{}=x"])
def test_refused_letter_is_found_in_a_bundle(letter: str, form: str) -> None:
    """The original looked at the first letter only."""
    assert f"run option -{letter} cannot be used: " in refusal(form.format(letter), "x")


def test_unknown_option_error_suggests_similar_option() -> None:
    """Or tells what to do."""
    assert "--memroy is not one that dewy takes (did you mean --memory?)" in refusal(
        "--memroy=1"
    )
    assert "--zzz is not one that dewy takes (leave it out)" in refusal("--zzz")
    assert "-x is not one" in refusal("-xsecret")


def test_option_of_dewy_goes_before_the_dashes() -> None:
    """A common slip."""
    assert "--replicas is an option of dewy: write it before --" in refusal(
        "--replicas", "3"
    )


@pytest.mark.parametrize("word", ["--isolation", "--annotation", "--dissolution"])
def test_option_that_none_is_close_to_gets_no_suggestion(word: str) -> None:
    message = refusal(word)

    assert word in message
    assert "did you mean" not in message


@pytest.mark.parametrize("words", [("--label",), ("-e",), ("-qm",)])
def test_missing_value_is_told(words: tuple[str, ...]) -> None:
    """The original passed it on."""
    assert "needs a value" in refusal(*words)


@pytest.mark.parametrize("word", ["nginx:latest", "", "-", "--"])
def test_stray_word_is_no_image(word: str) -> None:
    """Nor a command."""
    assert f"{word!r} is no run option; only options" in refusal("-m", "1", word)


def test_rest_of_a_secret_is_not_told() -> None:
    """Somebody forgot the quotes."""
    message = refusal("-e", "PASSWORD=correct", "horse")

    assert "the word after run option -e and its value is no run option" in message
    assert "horse" not in message


@pytest.mark.parametrize(
    "word", ["--a secret", "--\nsecret", "-\nsecret", "--sécret x"]
)
def test_malformed_option_name_is_not_quoted_in_error(word: str) -> None:
    """It may be anything, and errors are one line."""
    assert "secret" not in refusal(word)
    assert "\n" not in refusal(word)
