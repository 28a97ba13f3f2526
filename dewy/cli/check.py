"""`dewy check`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import loop
from ..errors import ConfigError
from ..logs import redactor
from .arguments import examined_from, options_for
from .output import as_json, localised, moment

if TYPE_CHECKING:
    from ..checks import Report

MODES = ("server", "assets", "container", "proxy")
MANY = 20
TRIED = "notifier"
"""The subject of findings that were asked for, and are shown if all is well, too."""

BEFORE_DASHES = "dewy.check.before-dashes"


class CheckCommand(click.Command):
    """Command that remembers which of its words stood before `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[BEFORE_DASHES] = args[: args.index("--")] if "--" in args else [*args]
        return super().parse_args(ctx, args)


@click.command(
    "check", cls=CheckCommand, short_help="Check a command line without deploying."
)
@options_for("check")
@click.option("--offline", is_flag=True, help="Ask neither registry nor cache.")
@click.option(
    "--test-notifiers", is_flag=True, help="Send a test notice through each notifier."
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[server|assets|container|proxy] [-- PROGRAM | RUN OPTIONS]...",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    offline: bool,
    test_notifiers: bool,
    json_: bool,
    words: tuple[str, ...],
    **given: object,
) -> int:
    """
    Check the command line of another command; deploy and write nothing.

    Takes the command line of `server`, `assets`, `container` or `proxy` unchanged and
    reports every mistake at once: options, URLs, credentials, ports, engine, program,
    root and unit. Then asks the registry which release would be deployed here.

    The exit status is 2 for a mistake that trying again cannot mend, else 1 if a check
    fails or there is no release, else 0.
    """
    report = judged(ctx, words, offline=offline, test_notifiers=test_notifiers)
    tell_mistakes(report)
    shown = as_json(as_object(report)) if json_ else "\n".join(report_lines(report))
    if shown:
        click.echo(shown)
    return report.status


def tell_mistakes(report: Report) -> None:
    """Print each mistake as the command itself would."""
    for each in report.findings:
        if each.level == "mistake":
            error = redactor(os.environ)(f"dewy: error: {each.text}")
            click.echo(error, err=True)


def judged(ctx: click.Context, words: Sequence[str], **how: bool) -> Report:
    """Return the report on the command line of *ctx* and *words*; *how* as there."""
    from ..checks import examine_host

    mode, rest = mode_of(words, ctx.meta[BEFORE_DASHES])
    settings, mistakes = examined_from(ctx, mode or _guessed(rest), rest)
    if mode == "proxy":
        mistakes += [ConfigError(f"proxy takes no argument {each!r}") for each in rest]
    if not mode and settings.command == "server" and settings.images:
        settings, mistakes = examined_from(ctx, "check", rest)
    if not mode and settings.port_mappings:
        mode = "container"
    return loop.run(examine_host(settings, mistakes, mode=mode, **how))


def mode_of(words: Sequence[str], before: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the command that is named first, before `--`, or "", and what follows."""
    if words and words[0] in MODES and words[0] in before:
        return words[0], words[1:]
    return "", words


def _guessed(words: Sequence[str]) -> str:
    return "server" if words else "check"


def as_object(report: Report) -> dict[str, Any]:
    """Return the report, for JSON."""
    findings = [finding.as_dict() for finding in report.findings]
    return {**(report.found or {}), "findings": findings}


def report_lines(report: Report, *, all_: bool = False) -> Iterator[str]:
    """Yield the findings as people read them; the good ones only with *all_*."""
    if report.found is not None:
        yield from map(localised, lines(report.found))
    hidden = () if all_ else ("ok", "mistake")
    told = [e for e in report.findings if e.level not in hidden or e.subject == TRIED]
    yield from map(localised, map(str, told))
    if report.found is None and not report.status:
        yield "nothing is wrong"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the registry's offer, with what this root knows about it."""
    if "error" in found:
        yield f"nothing to deploy: {found['error']}"
    else:
        yield f"release:  {found['tag']}"
        yield f"artifact: {found['artifact_url']}"
    if "cache_error" in found:
        yield f"no cache: {found['cache_error']}"
    if found["running"]:
        yield f"running:  {found['running']['tag']}"
    if found["quarantined"]:
        yield f"quarantined {_quarantine(found['quarantined'])}"
    for text in _listed(found.get("passed_over", ())):
        yield f"passed over: {text}"
    for text in _listed(found["refused"]):
        yield f"refused:  {text}"
    if older := found.get("older"):
        yield f"older:    {older} version{'s' if older > 1 else ''}"
    for text in found.get("surprises", ()):
        yield f"warning:  {text}"


def _listed(refused: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield names with their reasons; of many, the first and the number of the rest."""
    for each in refused[:MANY]:
        yield f"{each['name']}: {each['reason']}"
    if len(refused) > MANY:
        yield f"and {len(refused) - MANY} more (--json lists all)"


def _quarantine(entry: Mapping[str, Any]) -> str:
    until = f"until {moment(entry['until'])}" if entry["until"] else "for good"
    waits = entry.get("not_tried")
    return f"{until}: {entry['reason']}" + (f" ({waits})" if waits else "")
