"""`dewy demo`."""

from __future__ import annotations

import click


@click.command("demo", short_help="Try dewy: a deployment, and a bad release refused.")
def command() -> int:
    """
    Deploy a small web server under load, in a temporary directory.

    The last of its three versions is broken on purpose. Ends with a count of requests
    and failures; the exit status is 1 if a request failed.
    """
    from ..demo import run

    return run()
