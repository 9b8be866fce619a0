"""`shoal cancel`: end jobs that are queued or running."""

from __future__ import annotations

import click

from shoal.cli.options import (
    batch_option,
    environment_option,
    jobs_argument,
    json_option,
    need_jobs,
)


@click.command("cancel", short_help="Cancel jobs, queued or running.")
@jobs_argument(required=False)
@batch_option
@environment_option
@json_option
def command(
    jobs: tuple[str, ...], batch: str | None, environment: str | None, as_json: bool
) -> None:
    """Cancel JOBs (ids or globs), or a batch. Running ones are ended with all they have started."""
    from shoal.cli.output import print_changed
    from shoal.client import connect

    need_jobs(jobs, batch)
    with connect(environment, create=False) as client:
        print_changed(client.cancel(*jobs, batch=batch), "cancelled", as_json)
