"""Files that vendors' clients read on their own, such as `~/.aws/config`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import RemoteError
from ..files import expanded
from ..ioprocess import brief, reading

__all__ = ["read_by_boto3", "read_by_google", "require_answers"]


def read_by_boto3(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that boto3 looks for when it creates a client."""
    token = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    return (
        expanded(environ.get("AWS_CONFIG_FILE") or "~/.aws/config"),
        expanded(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"),
        expanded("~/.boto"),
        *([expanded(token)] if token else ()),
    )


def read_by_google(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that Google's library looks for when it creates a client."""
    directory = environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    default = f"{directory}/application_default_credentials.json"
    return (
        expanded(environ.get("GOOGLE_APPLICATION_CREDENTIALS") or default),
        expanded(environ.get("NETRC") or "~/.netrc"),
    )


async def require_answers(files: Iterable[Path]) -> None:
    """
    Have a helper process read *files*, so that no thread of dewy hangs in doing so.

    Whether they exist, and what they hold, is left to the clients.

    Raises:
        RemoteError: a file cannot be read, because its file system hangs.
    """
    for file in files:
        try:
            await brief.look(file.parent, reading.touch, file)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise RemoteError(f"could not read {file}: {reason}") from exc
