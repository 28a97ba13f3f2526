"""`dewy doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import loop
from ..errors import DewyError
from .arguments import options_for, settings_from
from .check import MODES, as_object, judged, report_lines
from .output import as_json

if TYPE_CHECKING:
    from ..checks import Report

# Meant for that process alone.
PRIVATE = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET")


@click.command("doctor", short_help="Check the running dewy and its host.")
@options_for("doctor")
@click.option("--offline", is_flag=True, help="Ask neither registry nor cache.")
@click.option(
    "--test-notifiers", is_flag=True, help="Send a test notice through each notifier."
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    offline: bool,
    test_notifiers: bool,
    json_: bool,
    **given: object,
) -> int:
    """
    Check the dewy that runs here, with its own command line and environment.

    Reports on what `dewy check` does, and on the clock, the descriptors and dewy's own
    state; each line says what to do. The exit status is that of `check`, and 1 if no
    dewy runs here or it is degraded.
    """
    from ..admin import operate
    from ..checks import Finding, Level

    status = loop.run(operate.look(settings_from(ctx)))
    degraded = status["degraded"]
    found = [Finding(Level.FAILURE, "dewy", each) for each in degraded]
    found += [Finding(Level.ATTENTION, "dewy", each) for each in status["attention"]]
    if status["pid"] and not found:
        found = [Finding(Level.OK, "dewy", f"pid {status['pid']} is well")]
    pid = int(status["pid"] or 0)
    words = _command_line(pid) if pid else _said(given)
    report = _report(words, offline=offline, test_notifiers=test_notifiers)
    report.findings[:0] = found
    shown = report_lines(report, all_=True)
    click.echo(as_json(as_object(report)) if json_ else "\n".join(shown))
    return report.status


def _said(given: Mapping[str, object]) -> list[str]:
    """Return the options *given* here, for `check`."""
    return [
        f"--{name.replace('_', '-')}={value}"
        for name, values in given.items()
        if isinstance(values, tuple)
        for value in values
    ]


def _report(words: Sequence[str], **how: bool) -> Report:
    """Return the report of `check` on the command line *words*."""
    with _parsed(["check", *words]) as ctx:
        return judged(ctx, ctx.params["words"], host=True, **how)


@contextmanager
def _parsed(words: Sequence[str]) -> Iterator[click.Context]:
    """Yield the context of the command that *words* name, which is not invoked."""
    from .group import dewy

    with dewy.make_context("dewy", list(words)) as group:
        rest = [*group._protected_args, *group.args]
        name, command, rest = dewy.resolve_command(group, rest)
        assert command is not None
        with command.make_context(name, rest, parent=group) as ctx:
            yield ctx


def _command_line(pid: int) -> list[str]:
    """
    Return the arguments of the dewy *pid*, whose environment becomes this process's.

    Raises:
        DewyError: the arguments cannot be read.
    """
    place = Path(f"/proc/{pid}")
    try:
        words = _fields(place / "cmdline")
        variables = dict(
            each.split("=", 1) for each in _fields(place / "environ") if "=" in each
        )
    except OSError as exc:
        raise DewyError(
            f"the command line of pid {pid} cannot be seen; run doctor as its user"
        ) from exc
    os.environ.clear()
    os.environ.update({k: v for k, v in variables.items() if k not in PRIVATE})
    return arguments_of(words)


def _fields(path: Path) -> list[str]:
    return [os.fsdecode(each) for each in path.read_bytes().split(b"\0")][:-1]


def arguments_of(words: Sequence[str]) -> list[str]:
    """
    Return the words after the program in a command line: `python -m dewy`, or a script.
    """
    for index, word in enumerate(words):
        path = Path(word)
        if path.stem == "dewy" or path.parts[-2:] == ("dewy", "__main__.py"):
            return list(words[index + 1 :])
    firsts = (i for i, word in enumerate(words) if word in MODES)
    return list(words[next(firsts, len(words)) :])
