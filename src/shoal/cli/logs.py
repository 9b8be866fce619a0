"""`shoal logs`: the output of a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoal.cli.options import complete_jobs, environment_option

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.client import Client
    from shoal.core.job import Job, Token

PIECE_BYTES = 1 << 16
LOOK_EVERY_S = 0.2


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
    from shoal.core.job import Token

    with connect(environment, create=False) as client:
        found = client.job(job)
        token = _token(attempt, found.run) if attempt else found.token
        if follow and not attempt:
            found = _wait_for_start(client, found)
            token = found.token
        path = client.log_path(found, Token(*token))
        if follow:
            path = _follow(client, found, token, path)
        elif path is not None:
            _print(path)
        if path is None:
            say(f"attempt {token} of {job!r} has no output" if token.attempt else "not started yet")


def _token(text: str, run: int) -> Token:
    from shoal.core.job import Token

    first, dot, second = text.partition(".")
    try:
        return Token(int(first), int(second)) if dot else Token(run, int(first))
    except ValueError:
        raise click.UsageError("--attempt takes a number, or RUN.ATTEMPT.") from None


def _wait_for_start(client: Client, job: Job) -> Job:
    import time

    while job.attempt == 0 and not job.status.is_final:
        time.sleep(LOOK_EVERY_S)
        job = client.job(job.job_id)
    return job


def _print(path: Path) -> None:
    import shutil

    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, PIECE_BYTES)
    sys.stdout.buffer.flush()


def _follow(client: Client, job: Job, token: Token, path: Path | None) -> Path | None:
    """Print what comes, until the attempt is over and all was printed."""
    import time

    file = path.open("rb") if path is not None else None
    try:
        while True:
            current = client.job(job.job_id)
            over = current.token != token or current.status != "Started"
            if file is None and (path := client.log_path(current, token)) is not None:
                file = path.open("rb")
            if file is not None:
                while piece := file.read(PIECE_BYTES):
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
            if over:
                return path
            time.sleep(LOOK_EVERY_S)
    finally:
        if file is not None:
            file.close()
