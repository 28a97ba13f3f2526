"""Which error an engine's words are, and what of them is shown."""

from __future__ import annotations

import pytest

from dewy.containers.engines.errors import (
    LONGEST,
    exists,
    going,
    in_use,
    kind,
    one_line,
    secrets_of,
)
from dewy.errors import EngineError, NameTaken, PullDenied

DENIED = [
    (500, "Get http://r/v2/: unauthorized: authentication required"),
    (500, 'Head "http://r/v2/x/manifests/1": no basic auth credentials'),
    (404, "pull access denied for x, repository does not exist or may require login"),
    (
        0,
        "initializing source docker://r/x:1: Requesting bearer token: invalid username",
    ),
    (0, "reading manifest 1 in r/x: requested access to the resource is denied"),
    (0, "unable to retrieve auth token: invalid username/password: unauthorized"),
]


@pytest.mark.parametrize(("status", "text"), DENIED)
def test_wrong_credentials_are_recognised(status: int, text: str) -> None:
    """Both engines have nothing but text for it."""
    assert PullDenied is kind(status, text, pulling=True)
    assert EngineError is kind(status, text)


@pytest.mark.parametrize(
    "text",
    [
        "manifest for r/x:2 not found: manifest unknown: manifest unknown",
        'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: refused',
        "toomanyrequests: You have reached your pull rate limit",
    ],
)
def test_other_failures_of_a_pull_are_no_matter_of_credentials(text: str) -> None:
    assert EngineError is kind(500, text, pulling=True)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (409, 'Conflict. The container name "/a" is already in use by container "b".'),
        (500, 'creating container storage: the container name "a" is already in use'),
    ],
)
def test_taken_name_is_recognised(status: int, text: str) -> None:
    assert NameTaken is kind(status, text)


def test_other_conflicts_are_no_taken_name() -> None:
    assert EngineError is kind(409, "You cannot remove a running container")
    assert not going(409, "Stop the container before attempting removal")
    assert going(409, "removal of container a is already in progress")
    assert exists(409, "network with name a already exists")
    assert in_use(403, "error while removing network: network a has active endpoints")
    assert not in_use(404, "network a not found")


def test_error_text_is_single_truncated_line_without_secrets() -> None:
    text = 'no: "to\\"ken"\n  at https://me:pw@r/v2/x?sig=abc ' + 500 * "x"

    line = one_line(text, ['to"ken', "no"])

    assert line.startswith('no: "***" at https://***@r/v2/x x')
    assert LONGEST == len(line)


def test_secrets_of_spec_include_env_command_and_log_options() -> None:
    spec = {
        "Env": ["TOKEN=abc=d", "PLAIN"],
        "Cmd": ["--key", "k"],
        "Entrypoint": ["/app", "--password=p"],
        "Healthcheck": {"Test": ["CMD", "curl", "-u", "me:pw"]},
        "HostConfig": {"LogConfig": {"Config": {"splunk-token": "s"}}},
    }

    found = secrets_of(spec)

    hidden = {"TOKEN=abc=d", "abc=d", "--key", "k", "--password=p", "me:pw", "s"}
    assert hidden <= set(found)
    assert "/app" not in found
    assert [] == secrets_of({"Env": None, "HostConfig": None})
