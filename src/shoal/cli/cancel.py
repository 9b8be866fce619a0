"""`shoal cancel`: end jobs that are queued or running."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option, jobs_argument, json_option


@click.command("cancel", short_help="Cancel jobs, queued or running.")
@jobs_argument(required=True)
@environment_option
@json_option
def command(jobs: tuple[str, ...], environment: str | None, as_json: bool) -> None:
    """Cancel JOBs (ids or globs). Running ones are ended with all they have started."""
    from shoal.cli.output import print_changed
    from shoal.client import connect

    with connect(environment, create=False) as client:
        print_changed(client.cancel(*jobs), "cancelled", as_json)
