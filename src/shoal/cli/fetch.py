"""`shoal fetch`: results of jobs into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from shoal.cli.options import (
    batch_option,
    complete_jobs,
    environment_option,
    json_option,
    need_jobs,
)


@click.command("fetch", short_help="Copy the results of jobs to a folder.")
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_jobs)
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path, file_okay=False))
@batch_option
@environment_option
@json_option
def command(
    jobs: tuple[str, ...],
    destination: Path,
    batch: str | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """Copy what JOBs (ids or globs), or a batch, have produced to DEST, a subfolder a job folder.

    \b
      shoal fetch corners/tt/run.sh results
      shoal fetch --batch ID results
    """
    from shoal.cli.output import print_json, say
    from shoal.client import connect

    need_jobs(jobs, batch)
    with connect(environment, create=False) as client:
        fetched = client.fetch(jobs, destination, batch)
    if as_json:
        print_json([str(path) for path in fetched])
    else:
        say(f"{len(fetched):,} file{'s' * (len(fetched) != 1)} copied to {destination}")
        if not fetched:
            say("A job without a folder keeps no files, only its output: see 'shoal logs'.")
