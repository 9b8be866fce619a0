"""`shoal report`: one HTML file about a set of jobs."""

from __future__ import annotations

import click

from shoal.cli.options import (
    FiniteRange,
    batch_option,
    environment_option,
    jobs_argument,
    json_option,
)

DEFAULT_FILE = "shoal-report.html"


@click.command("report", short_help="One HTML file about a set of jobs, for the mail to the boss.")
@jobs_argument(required=False)
@batch_option
@environment_option
@json_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default=DEFAULT_FILE,
    show_default=True,
    metavar="FILE",
    help="Where it is written; - is standard output.",
)
@click.option("--title", metavar="TEXT", help="Its title.  [default: the batch or environment]")
@click.option(
    "--hourly-price",
    type=FiniteRange(0),
    metavar="USD",
    help="What an hour of a machine costs; without it, only hours are shown.",
)
def command(
    jobs: tuple[str, ...],
    batch: str | None,
    environment: str | None,
    as_json: bool,
    output: str,
    title: str | None,
    hourly_price: float | None,
) -> None:
    """Write a report about jobs, named by id, glob or batch; about all when none is named.

    How long it all took, how long jobs waited and ran, the tail, retries and their reasons,
    interruptions, what the workers did, and the timeline; on AWS the cost. It is one file
    that needs nothing else, and runs no script.

    \b
      shoal report
      shoal report 'sweep-*' -o sweep.html --title "The sweep"
      shoal report --batch ID --hourly-price 0.085
    """
    import os
    import time

    from shoal.cli.output import print_json, say
    from shoal.client import connect
    from shoal.core.errors import JobNotFound
    from shoal.environment import is_cloud
    from shoal.report.figures import figures_of, last_runs
    from shoal.report.page import report_html
    from shoal.report.spans import spans_of

    with connect(environment, create=False) as client:
        found = client.select(jobs, batch=batch) if jobs or batch is not None else client.jobs()
        if not found:
            raise JobNotFound(
                "there is no job to report on", "'shoal submit' brings some, -e names another place"
            )
        attempts = client.attempts_of(found)
        name = client.environment.name
        in_cloud = is_cloud(name)
        # Where a machine is one of the cloud's, its type is the first word about its host.
        types = {of.worker: of.host.split()[0] for of in client.workers() if in_cloud and of.host}
    now = time.time()
    figures = figures_of(
        found, attempts, now, in_cloud=in_cloud, hourly_usd=hourly_price, types=types
    )
    if as_json:
        print_json(figures)
        return
    page = report_html(
        figures,
        spans_of(found, last_runs(found, attempts), now),
        title=title or (f"Batch {batch}" if batch is not None else name.rpartition("/")[2] or name),
        environment=name,
    ).encode()
    # A full disk must not cost the last report; but a device or a pipe is not to be replaced.
    with click.open_file(output, "wb", atomic=os.path.isfile(output)) as file:
        file.write(page)
    if output != "-":
        click.echo(figures.headline)
        say(f"The report is in {output}.")
