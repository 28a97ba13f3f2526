"""Entry point of `dewy`, and the meaning of its exit status."""

from __future__ import annotations

import logging
import os
import pwd
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

from ..errors import ConfigError, ConfigErrors, DewyError, of_plugin
from ..logs import redactor, summary
from .output import RED, coloured, localised

__all__ = ["main", "run"]

log = logging.getLogger(__name__)

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main() -> NoReturn:
    """Run the console script."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what is no text, and messages quote them.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """
    Run one command and return the exit status.

    0: success; 1: failure; 2: a mistake in use or configuration, so that trying again
    cannot help; 130: interrupted from the keyboard.
    """
    from .group import dewy

    try:
        status = dewy.main(list(arguments), prog_name="dewy", standalone_mode=False)
        sys.stdout.flush()
        return int(status or DONE)
    except click.ClickException as exc:
        return _failed(exc, MISUSED, _usage(exc))
    except ConfigError as exc:
        return _misconfigured(exc)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except PermissionError as exc:
        return _failed(exc, FAILED, summary(exc) + _as_owner(exc))
    except (DewyError, OSError) as exc:
        return _failed(exc, FAILED, summary(exc))
    except Exception as exc:  # noqa: BLE001 - the last edge: one line for anything
        where = "--log-level debug shows where"
        # Of a plugin the summary says so itself.
        hint = f" ({where})" if of_plugin(exc) else f" (a fault of dewy; {where})"
        return _failed(exc, FAILED, summary(exc) + hint)


def _failed(exc: Exception, status: int, message: str) -> int:
    # Seen at debug level only: a traceback helps who mends dewy, not who uses it.
    log.debug("Command failed", exc_info=exc)
    told = localised(redactor(os.environ)(f"dewy: error: {message}"))
    click.echo(coloured(told, RED), err=True)
    return status


def _as_owner(exc: PermissionError) -> str:
    """Return the advice to be the user whose root it is; "" for another's files."""
    path = Path(os.fsdecode(exc.filename or ""))
    private = next((each for each in path.parents if each.name == ".dewy"), None)
    try:
        owner = private.stat().st_uid if private else os.geteuid()
        if owner == os.geteuid():
            return ""
        user = pwd.getpwuid(owner).pw_name
    except (OSError, KeyError):
        return ""
    return f"; this root belongs to {user}: sudo -u {user} dewy …"


def _misconfigured(exc: ConfigError) -> int:
    errors = exc.errors if isinstance(exc, ConfigErrors) else (exc,)
    for each in errors:
        _failed(each, MISUSED, summary(each))
    return MISUSED


def _usage(exc: click.ClickException) -> str:
    message = " ".join(exc.format_message().split()).rstrip(".")
    ctx = getattr(exc, "ctx", None)
    path = ctx.command_path if ctx else "dewy"
    return f"{message}; see {path} --help"


def _reader_left() -> int:
    # For example `dewy history | head`: no reader is left.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
