"""`shoal pause`: let no more jobs start."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option


@click.command("pause", short_help="Let no more jobs start.")
@environment_option
def command(environment: str | None) -> None:
    """Let no job start until 'shoal resume'. What runs goes on; workers without work leave."""
    from shoal.cli.output import say
    from shoal.client import connect

    with connect(environment, create=False) as client:
        client.pause()
    say("paused: no job starts until 'shoal resume'")
