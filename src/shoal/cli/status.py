"""`shoal status`: counts and jobs, or one job with its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoal.cli.options import environment_option, jobs_argument, json_option

if TYPE_CHECKING:
    from shoal.client import Client
    from shoal.core.job import Job, Status, Token


@click.command("status", short_help="Counts and jobs, or one job with its attempts.")
@jobs_argument(required=False)
@environment_option
@json_option
@click.option(
    "--status",
    "only",
    multiple=True,
    type=click.Choice(["Queued", "Started", "Successful", "Failed", "Cancelled"], False),
    help="Only jobs with this status; may be given more than once.",
)
@click.option(
    "-n", "--limit", default=20, show_default=True, metavar="N", help="Jobs to list; 0 lists all."
)
def command(
    jobs: tuple[str, ...], environment: str | None, as_json: bool, only: tuple[str, ...], limit: int
) -> None:
    """Show counts by status and the newest jobs; with the id of one JOB, all its attempts.

    \b
      shoal status
      shoal status 'sweep-*' --status Failed
      shoal status corners/tt/run.sh --json
    """
    from shoal.cli.output import print_json
    from shoal.client import connect
    from shoal.core.job import Status

    statuses = [Status(name) for name in only]
    with connect(environment, create=False) as client:
        if jobs:
            found = client.select(jobs, statuses)
            if len(jobs) == 1 and len(found) == 1 and found[0].job_id == jobs[0]:
                _show_one(client, found[0], as_json)
                return
        else:
            found = client.jobs(None, statuses, limit or None)
        if as_json:
            from shoal.cli.output import job_item

            counts = client.counts()
            print_json(
                {
                    "counts": counts.by_status,
                    "paused": client.is_paused(),
                    "workers": len(client.workers()),
                    "jobs": [job_item(job) for job in found],
                }
            )
            return
        _show_many(client, found, limit if not jobs else 0)


def _show_many(client: Client, found: list[Job], limit: int) -> None:
    import time

    from shoal.cli.output import job_state_text, print_table

    now = time.time()
    counts = client.counts()
    _print_counts(counts.by_status, len(client.workers()), client.is_paused())
    if found:
        shown = found[:limit] if limit else found
        print_table(
            ("job", "status", "run", "attempt", "retries", ""),
            [
                (
                    job.job_id,
                    job.status,
                    str(job.run),
                    str(job.attempt),
                    job.retries,
                    job_state_text(job, now),
                )
                for job in shown
            ],
        )
        if limit and counts.total > len(shown):
            click.echo(f"The newest {len(shown)} of {counts.total:,}; -n 0 lists all.", err=True)
    if counts.live and not client.is_supervised() and not client.workers():
        click.echo("Nobody works on these jobs: start 'shoal up'.", err=True)


def _print_counts(by_status: dict[Status, int], workers: int, paused: bool) -> None:
    from rich.text import Text

    from shoal.cli.output import STYLES, console

    parts = [Text(f"{number:,} {status}", STYLES[status]) for status, number in by_status.items()]
    parts.append(Text(f"{workers} worker{'s' * (workers != 1)}"))
    if paused:
        parts.append(Text("paused", "bold yellow"))
    console().print(Text("   ").join(parts))


def _show_one(client: Client, job: Job, as_json: bool) -> None:
    import time

    from shoal.cli.output import (
        attempt_item,
        clock_time,
        duration,
        job_item,
        job_state_text,
        print_json,
        print_table,
    )
    from shoal.core.job import Started

    def log_of(token: Token) -> str | None:
        path = client.log_path(job, token)
        return str(path) if path is not None else None

    attempts = client.attempts(job.job_id)
    if as_json:
        item = job_item(job, log_of(job.token))
        item["attempts"] = [attempt_item(attempt, log_of(attempt.token)) for attempt in attempts]
        print_json(item)
        return
    print_table(
        ("job", "status", "run", "retries", "interruptions", "submitted", ""),
        [
            (
                job.job_id,
                job.status,
                str(job.run),
                job.retries,
                str(job.interruptions),
                clock_time(job.submitted_at),
                job_state_text(job, time.time()),
            )
        ],
    )
    rows = [
        (
            str(attempt.token),
            attempt.worker,
            clock_time(attempt.started_at),
            duration(attempt.ended_at - attempt.started_at),
            "-" if attempt.exit_code is None else str(attempt.exit_code),
            str(attempt.ending),
            attempt.reason,
            log_of(attempt.token) or "(no output)",
        )
        for attempt in attempts
    ]
    if isinstance(job.state, Started):
        lease = job.state.lease
        ran = duration(time.time() - lease.started_at)
        log = log_of(job.token) or "(no output yet)"
        rows.append(
            (str(job.token), lease.worker, clock_time(lease.started_at), ran, "-", "runs", "", log)
        )
    if rows:
        print_table(
            ("attempt", "worker", "started", "took", "exit", "ending", "reason", "log"), rows
        )
