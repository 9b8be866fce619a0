"""`shoal events`: the finished and failed queues, a line a settled job."""

from __future__ import annotations

import sys

import click

from shoal.cli.options import environment_option, json_option


@click.command("events", short_help="Settled jobs as they come, for programs.")
@environment_option
@json_option
@click.option("-f", "--follow", is_flag=True, help="Go on waiting for more.")
@click.option(
    "--after",
    default=0,
    metavar="CURSOR",
    help="Go on after the line with this cursor.  [default: from the beginning]",
)
@click.option(
    "--queue",
    type=click.Choice(["finished", "failed", "cancelled"]),
    help="Only the lines of one queue.",
)
def command(
    environment: str | None, as_json: bool, follow: bool, after: int, queue: str | None
) -> None:
    """Print a line for each run that ended, in the order they did.

    Each line has a cursor. Keep the last one you dealt with, and give it as --after when you
    come back: then you miss none and see none twice.

    \b
      shoal events --follow --json --after 1234
    """
    from shoal.cli.output import clock_time, one_line, print_json, settlement_item
    from shoal.client import connect

    with connect(environment, create=False) as client:
        for settlement in client.settlements(after, follow=follow):
            item = settlement_item(settlement)
            if queue is not None and item["queue"] != queue:
                continue
            if as_json:
                print_json(item)
            else:
                name = settlement.job_id if settlement.job_id is not None else settlement.job
                click.echo(
                    f"{settlement.cursor}  {clock_time(settlement.settled_at)}  "
                    f"{settlement.status:<10}  {one_line(name)}  {one_line(settlement.reason)}"
                )
            sys.stdout.flush()
