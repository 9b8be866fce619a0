"""`shoal retry`: failed or cancelled jobs, again."""

from __future__ import annotations

import click

from shoal.cli.options import (
    batch_option,
    environment_option,
    jobs_argument,
    json_option,
    need_jobs,
)


@click.command("retry", short_help="Run failed or cancelled jobs again.")
@jobs_argument(required=False)
@batch_option
@environment_option
@json_option
def command(
    jobs: tuple[str, ...], batch: str | None, environment: str | None, as_json: bool
) -> None:
    """Queue failed and cancelled JOBs (ids or globs), or those of a batch, again, as a new run."""
    from shoal.cli.output import print_changed
    from shoal.client import connect

    need_jobs(jobs, batch)
    with connect(environment, create=False) as client:
        print_changed(client.retry(*jobs, batch=batch), "queued again", as_json)
