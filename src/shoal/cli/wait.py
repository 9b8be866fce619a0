"""`shoal wait`: until jobs are over, with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shoal.cli.options import batch_option, environment_option, jobs_argument, json_option

if TYPE_CHECKING:
    from shoal.client import Client, Progress


@click.command("wait", short_help="Wait until jobs are over, with a progress bar.")
@jobs_argument(required=False)
@batch_option
@environment_option
@json_option
@click.option("--timeout", type=float, metavar="SECONDS", help="Give up after this long.")
def command(
    jobs: tuple[str, ...],
    batch: str | None,
    environment: str | None,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Wait until the JOBs (ids or globs; none: all), or those of a batch, are over.

    Ends with 0 when all are Successful, with 1 when one is not, or time ran out. A batch that was
    submitted with --stop-on-success ends with 0 when one job was Successful.
    """
    from shoal.cli.main import EXIT_UNSUCCESSFUL
    from shoal.cli.output import one_line, print_json, say
    from shoal.client import connect

    with connect(environment, create=False) as client:
        if not client.is_supervised() and not client.workers() and client.counts().live:
            say("Nobody works on this environment: start 'shoal up' in another terminal.")
        with progress_bar() as show:
            progress = client.wait(jobs, batch=batch, timeout_s=timeout, on_progress=show)
        left = progress.total - progress.over
        found = None
        if batch is not None and not jobs and not left and not progress.all_successful:
            found = _found(client, batch)
    counts = {str(status): number for status, number in progress.by_status.items() if number}
    if as_json:
        ended = {"by_status": counts, "over": progress.over, "total": progress.total}
        print_json(ended if found is None else {**ended, "found": found})
    else:
        said = ", ".join(f"{number:,} {status}" for status, number in counts.items()) or "no jobs"
        say(said if not left else f"time is up with {left:,} not over: {said}")
        if found is not None:
            say(f"The search found {one_line(found)}.")
    if not progress.all_successful and found is None:
        if not as_json and not left:
            say(f"To see why: {_why(jobs, batch, counts)}")
        raise click.exceptions.Exit(EXIT_UNSUCCESSFUL)


def _found(client: Client, batch: str) -> str | None:
    """The job that was successful in a batch where one success is all that is wanted."""
    from shoal.core.job import Status

    successful = client.jobs(None, [Status.SUCCESSFUL], 1, batch)
    return next((job.job_id for job in successful if job.spec.stop_on_success), None)


def _why(jobs: tuple[str, ...], batch: str | None, counts: dict[str, int]) -> str:
    """The command that shows the reasons of those that were not successful."""
    import shlex

    words = ["shoal", "status", *jobs, *(["--batch", batch] if batch is not None else [])]
    for status in ("Failed", "Cancelled"):
        if status in counts:
            words += ["--status", status]
    return shlex.join(words)


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """A function that shows progress, or None where no person looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from shoal.core.job import Status

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left "),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            running = progress.by_status.get(Status.STARTED, 0)
            failed = progress.by_status.get(Status.FAILED, 0)
            said = f"{running:,} running" + (f", [red]{failed:,} failed[/]" if failed else "")
            bar.update(task, total=progress.total, completed=progress.over, description=said)

        yield show
