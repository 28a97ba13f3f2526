"""Options beyond what the engine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.checks.endpoints import engine_findings
from dewy.checks.finding import Level
from dewy.config import Settings
from dewy.containers.model import EngineLimits
from dewy.containers.options.arguments import parse
from dewy.errors import ConfigError
from tests.needs import needs

LIMITS = EngineLimits(frozenset({"runc", "runsc"}), 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--runtime", "nonesuch"),
            "--runtime nonesuch is not one of the engine's: runc",
        ),
        (("--cpus", "64"), "--cpus 64 must be 2 or less"),
    ],
)
def test_option_beyond_limit_is_refused(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    options = parse(words, {}, tmp_path)

    with pytest.raises(ConfigError, match=told):
        options.require_within(LIMITS)
    options.require_within(EngineLimits())


def test_options_within_limits_are_taken(tmp_path: Path) -> None:
    words = ("--runtime", "runsc", "--cpus", "2")

    parse(words, {}, tmp_path).require_within(LIMITS)


@needs("docker")
@pytest.mark.parametrize("words", [("--runtime", "nonesuch"), ("--cpus", "4096")])
async def test_check_foretells_refusals_of_engine(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    chosen = Settings(
        command="container",
        root=tmp_path,
        cache_dir=tmp_path,
        registry="img://registry.test/acme/none-of-these",
        run_options=words,
    )
    found = [each async for each in engine_findings(chosen)]

    (told,) = [each for each in found if each.level is not Level.OK]
    assert Level.MISTAKE is told.level
    assert " ".join(words) in told.text
