"""Whose fault a failed deployment is."""

from __future__ import annotations

import errno

import pytest

from dewy.deploy.quarantine import is_verdict
from dewy.errors import (
    ArchiveError,
    ChecksumError,
    DeploymentError,
    DewyError,
    EngineError,
    HookFailed,
    ImplementationUnavailable,
    PullDenied,
    RemoteError,
    StartFailed,
)


@pytest.mark.parametrize(
    "exc",
    [
        ArchiveError("ends before its end mark"),
        ChecksumError("is not what was published"),
        HookFailed("the before-deploy hook failed: exit code 1"),
        StartFailed("generation 5 ended (exit status 1)"),
        DeploymentError("no"),
        TypeError("a fault of dewy, on these bytes"),
        RuntimeError("a fault of dewy, on these bytes"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_bad_bytes_and_programs_are_a_verdict(exc: Exception) -> None:
    assert is_verdict(exc)


@pytest.mark.parametrize(
    "exc",
    [
        DeploymentError("no space left", host=True),
        StartFailed("the program cannot be started: no more processes", host=True),
        RemoteError("the store is away"),
        EngineError("Docker hung up"),
        PullDenied("wrong password"),
        ImplementationUnavailable("boto3 is missing"),
        DewyError("no answer within 120 s"),
        OSError(errno.ENOSPC, "No space left on device"),
        TimeoutError(),
        MemoryError(),
        RuntimeError("can't start new thread"),
    ],
    ids=lambda exc: f"{type(exc).__name__} {exc}",
)
def test_fault_of_host_or_network_is_none(exc: Exception) -> None:
    assert not is_verdict(exc)
