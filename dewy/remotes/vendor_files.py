"""Files that vendors' clients read by themselves, such as `~/.aws/config`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import RemoteError
from ..ioprocess import brief, reading

__all__ = ["read_by_boto3", "read_by_google", "require_answers"]


def read_by_boto3(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that a client of boto3 looks for when it is made."""
    token = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    return (
        _path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config"),
        _path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"),
        _path("~/.boto"),
        *([_path(token)] if token else ()),
    )


def read_by_google(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that a client of Google's looks for when it is made."""
    directory = environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    usual = f"{directory}/application_default_credentials.json"
    return (
        _path(environ.get("GOOGLE_APPLICATION_CREDENTIALS") or usual),
        _path(environ.get("NETRC") or "~/.netrc"),
    )


async def require_answers(files: Iterable[Path]) -> None:
    """
    Have a helper process look at *files* before a thread of dewy's does.

    Whether they are there, and what they hold, is the clients' business.

    Raises:
        RemoteError: the directory of one hangs.
    """
    for file in files:
        try:
            await brief.look(file.parent, reading.touch, file)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise RemoteError(f"could not read {file}: {reason}") from exc


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()
