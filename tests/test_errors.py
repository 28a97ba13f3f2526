"""The errors say what happened, and carry what their handlers need."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime

import pytest

from dewy import errors
from dewy.release import Refusal

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception)
]


def drawn() -> dict[str, str]:
    """Each error in the module's docstring, with the one it is drawn under."""
    above: list[str] = ["Exception"]
    parents = {}
    for indent, name in re.findall(r"^( *)\* (\w+)", errors.__doc__ or "", re.M):
        depth = len(indent) // 2
        del above[depth + 1 :]
        parents[name] = above[-1]
        above.append(name)
    return parents


def test_error_hierarchy_matches_module_docstring() -> None:
    assert drawn() == {
        kind.__name__: kind.__base__.__name__ for kind in TREE if kind.__base__
    }


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_made_of_its_message(kind: type[errors.DewyError]) -> None:
    assert "what is wrong" == str(kind("what is wrong"))


def test_rate_limit_says_for_how_long() -> None:
    assert 60.0 == errors.RateLimited("too often", retry_after=60.0).retry_after
    assert errors.RemoteError("down").retry_after is None


def test_no_release_error_carries_refusals_and_time() -> None:
    refused = [Refusal("v1", "older")]
    since = datetime(2031, 2, 3, tzinfo=UTC)

    error = errors.NoRelease("none", refused, since)

    assert ((Refusal("v1", "older"),), since) == (error.refused, error.since)
    assert errors.NoRelease("none").since is None


def test_failed_deployment_carries_the_last_lines() -> None:
    assert ("a", "b") == errors.StartFailed("died", log_tail=["a", "b"]).log_tail
