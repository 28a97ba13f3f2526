"""Files of vendors' clients: they answer, or no thread goes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.remotes.vendor_files import (
    read_by_boto3,
    read_by_google,
    require_answers,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_files_are_those_of_the_home_directory_or_of_variables(home: Path) -> None:
    aws = {"AWS_CONFIG_FILE": "/a", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}
    usual = home / ".aws/config", home / ".aws/credentials", home / ".boto"

    assert usual == read_by_boto3({})
    assert (Path("/a"), *usual[1:], Path("/t")) == read_by_boto3(aws)
    assert (
        home / ".config/gcloud/application_default_credentials.json",
        home / ".netrc",
    ) == read_by_google({})
    key = {"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "NETRC": "/n"}
    assert (Path("/key.json"), Path("/n")) == read_by_google(key)


async def test_user_without_home_directory_has_no_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 0x7FFFFFF0)

    await require_answers([*read_by_boto3({}), *read_by_google({})])


async def test_missing_and_odd_files_are_the_client_s_business(home: Path) -> None:
    (home / "file").touch()
    await require_answers([home / "none/file", home / "none", home, home / "file/x"])
