"""`shoal logs`: the output of a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoal.cli.options import complete_jobs, environment_option

if TYPE_CHECKING:
    from shoal.core.job import Token


@click.command("logs", short_help="The output of a job.")
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@environment_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt ends.")
@click.option(
    "--attempt",
    metavar="N",
    help="Which attempt of the last run, or RUN.ATTEMPT.  [default: the last]",
)
def command(job: str, environment: str | None, follow: bool, attempt: str | None) -> None:
    """Print the output of a JOB's attempt, byte for byte."""
    from shoal.cli.output import say
    from shoal.client import connect

    with connect(environment, create=False) as client:
        token = _token(attempt, client.job(job).run) if attempt else None
        printed = False
        for piece in client.output(job, token, follow=follow):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            printed = True
        if not printed:
            token = token or client.job(job).token
            say(f"attempt {token} of {job!r} has no output" if token.attempt else "not started yet")


def _token(text: str, run: int) -> Token:
    from shoal.core.job import Token

    first, dot, second = text.partition(".")
    try:
        return Token(int(first), int(second)) if dot else Token(run, int(first))
    except ValueError:
        raise click.UsageError("--attempt takes a number, or RUN.ATTEMPT.") from None
