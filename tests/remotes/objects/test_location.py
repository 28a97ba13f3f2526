"""Names of objects in URLs."""

from __future__ import annotations

from urllib.parse import unquote

from dewy.remotes.objects.store import prefix, quoted
from tests.standins.memory_objects import MemoryObjects


def test_prefix_is_empty_or_ends_in_slash() -> None:
    assert "a/b/" == prefix(MemoryObjects("a/b"))
    assert "" == prefix(MemoryObjects())


def test_ordinary_key_is_not_escaped_in_url() -> None:
    assert "a/v1.0.0+blue/x~1_2-3.tgz" == quoted("a/v1.0.0+blue/x~1_2-3.tgz")


def test_any_key_survives_its_url() -> None:
    key = "a b/ü?x#y%20/z"

    assert key == unquote(quoted(key))
    assert not set("?# ") & set(quoted(key))
