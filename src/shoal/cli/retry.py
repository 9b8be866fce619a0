"""`shoal retry`: failed or cancelled jobs, again."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option, jobs_argument, json_option


@click.command("retry", short_help="Run failed or cancelled jobs again.")
@jobs_argument(required=True)
@environment_option
@json_option
def command(jobs: tuple[str, ...], environment: str | None, as_json: bool) -> None:
    """Queue failed and cancelled JOBs (ids or globs) again, as a new run."""
    from shoal.cli.output import print_changed
    from shoal.client import connect

    with connect(environment, create=False) as client:
        print_changed(client.retry(*jobs), "queued again", as_json)
