"""The store behind `mem://`."""

from __future__ import annotations

import uuid

import pytest

from dewy.errors import RemoteError
from dewy.remotes.memory import MemoryStore


def test_store_is_shared_by_name() -> None:
    name = uuid.uuid4().hex

    assert MemoryStore.named(name) is MemoryStore.named(name)
    assert MemoryStore.named(name) is not MemoryStore.named(name + "x")


def test_publication_is_not_changed_by_its_publisher_afterwards() -> None:
    store, files = MemoryStore("name"), {"file": b"old"}
    store.publish("v1", files)
    files["file"] = b"new"

    assert b"old" == store.content("v1", "file")


def test_publishing_again_makes_another_revision() -> None:
    store = MemoryStore("name")
    store.publish("v1", {})
    first = store.published("v1")
    store.publish("v1", {})

    assert first.revision < store.published("v1").revision


def test_faults_are_raised_in_turn_by_the_calls_they_are_for() -> None:
    store = MemoryStore("name")
    store.fail("fetch", RemoteError("first"), OSError("second"))
    store.attempt("current")
    with pytest.raises(RemoteError, match="first"):
        store.attempt("fetch")
    with pytest.raises(OSError, match="second"):
        store.attempt("fetch")

    store.attempt("fetch")


def test_missing_content_error_names_version_or_file() -> None:
    store = MemoryStore("name")
    store.publish("v1", {})

    with pytest.raises(RemoteError, match="holds no v2"):
        store.content("v2", "file")
    with pytest.raises(RemoteError, match="holds no file"):
        store.content("v1", "file")
    assert "<MemoryStore name: v1>" == repr(store)
