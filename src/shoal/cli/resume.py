"""`shoal resume`: end a pause."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option


@click.command("resume", short_help="End a pause.")
@environment_option
def command(environment: str | None) -> None:
    """Let jobs start again after 'shoal pause'."""
    from shoal.cli.output import say
    from shoal.client import connect

    with connect(environment, create=False) as client:
        client.resume()
    say("resumed")
