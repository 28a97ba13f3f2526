"""`dewy check`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import click

from .. import loop
from .arguments import options_for, settings_from
from .output import as_json, moment


@click.command("check", short_help="Show what would be deployed, and why.")
@options_for("check")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def command(
    ctx: click.Context, /, json_: bool, words: tuple[str, ...], **given: object
) -> int:
    """
    Ask the registry what it would have deployed here; deploy and write nothing.

    Takes the options of `server`, `assets` and `container`, so that their command
    line can be checked as it stands. The exit status is 1 if there is no release.
    """
    from ..admin.preview import preview

    settings = settings_from(ctx, run_options=words)
    if settings.images:
        from ..containers.options.arguments import parse

        parse(settings.run_options, os.environ, settings.root)
    found = loop.run(preview(settings))
    click.echo(as_json(found) if json_ else "\n".join(lines(found)))
    return 1 if "error" in found else 0


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, as people read it."""
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
    for refused in found["refused"]:
        yield f"refused:  {refused['name']}: {refused['reason']}"


def _quarantine(entry: Mapping[str, Any]) -> str:
    until = f"until {moment(entry['until'])}" if entry["until"] else "for good"
    return f"{until}: {entry['reason']}"
