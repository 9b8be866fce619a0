"""`shoal status`: counts and jobs, or one job with its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoal.cli.options import batch_option, environment_option, jobs_argument, json_option

if TYPE_CHECKING:
    from shoal.client import Client
    from shoal.core.job import Attempt, Job, Status, Token
    from shoal.ports import Counts


@click.command("status", short_help="Counts and jobs, or one job with its attempts.")
@jobs_argument(required=False)
@batch_option
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
    "-n",
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="Jobs to list; 0 lists all.",
)
def command(
    jobs: tuple[str, ...],
    batch: str | None,
    environment: str | None,
    as_json: bool,
    only: tuple[str, ...],
    limit: int,
) -> None:
    """Show counts by status and the newest jobs; with the id of one JOB, all its attempts.

    \b
      shoal status
      shoal status 'sweep-*' --status Failed
      shoal status --batch ID
      shoal status corners/tt/run.sh --json
    """
    from shoal.cli.output import print_json
    from shoal.client import connect
    from shoal.core.job import Status
    from shoal.ports import Counts

    statuses = [Status(name) for name in only]
    with connect(environment, create=False) as client:
        if jobs:
            selected = client.select(jobs, (), batch)
            counts = Counts.of(selected)
            found = [job for job in selected if not statuses or job.status in statuses]
            if len(jobs) == 1 and len(found) == 1 and found[0].job_id == jobs[0]:
                _show_one(client, found[0], as_json)
                return
            total = len(found)
            found = found[: limit or None]
        else:
            counts = client.counts(batch)
            if batch is not None and not counts.total:
                client.select((), batch=batch)  # says that there is no such batch
            found = client.jobs(None, statuses, limit or None, batch)
            total = sum(counts.by_status[status] for status in statuses or Status)
        if as_json:
            from shoal.cli.output import job_item

            print_json(
                {
                    "counts": counts.by_status,
                    "paused": client.is_paused(),
                    "workers": len(client.workers()),
                    "jobs": [job_item(job) for job in found],
                }
            )
            return
        _show_many(client, counts, found, total)


def _show_many(client: Client, counts: Counts, found: list[Job], total: int) -> None:
    import time

    from shoal.cli.output import job_state_text, print_table, say

    now = time.time()
    _print_counts(counts.by_status, len(client.workers()), client.is_paused())
    if found:
        click.echo()
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
                for job in found
            ],
            cut=True,
        )
    if total > len(found):
        say(f"The newest {len(found):,} of {total:,}; -n 0 lists all.")
    if counts.live and not client.is_supervised() and not client.workers():
        say("Nobody works on these jobs: start 'shoal up'.")


def _print_counts(by_status: dict[Status, int], workers: int, paused: bool) -> None:
    from rich.text import Text

    from shoal.cli.output import STYLES, print_block

    parts = [Text(f"{number:,} {status}", STYLES[status]) for status, number in by_status.items()]
    parts.append(Text(f"{workers} worker{'s' * (workers != 1)}"))
    if paused:
        parts.append(Text("paused", "bold yellow"))
    print_block(Text("   ").join(parts))


def _show_one(client: Client, job: Job, as_json: bool) -> None:
    from shoal.cli.output import attempt_item, job_item, print_json
    from shoal.core.job import Started

    def log_of(token: Token) -> str | None:
        if (log := client.log(job, token)) is None:
            return None
        log.close()
        return log.location

    attempts = client.attempts(job.job_id)
    if as_json:
        item = job_item(job, log_of(job.token))
        item["attempts"] = [attempt_item(attempt, log_of(attempt.token)) for attempt in attempts]
        print_json(item)
        return
    _print_job(job)
    _print_attempts(job, attempts)
    tokens = [attempt.token for attempt in attempts]
    if isinstance(job.state, Started):
        tokens.append(job.token)
    for token in tokens:
        click.echo(f"output of {token}: {log_of(token) or 'none'}")


def _print_job(job: Job) -> None:
    import time

    from rich.text import Text

    from shoal.cli.output import STYLES, clock_time, job_state_text, one_line, print_block

    said = one_line(job_state_text(job, time.time()))
    status = Text(job.status, STYLES[job.status])
    heading = Text.assemble(one_line(job.job_id), " is ", status, f": {said}" if said else "")
    print_block(heading)
    click.echo(
        f"run {job.run}, retries {job.retries}, interruptions {job.interruptions},"
        f" submitted {clock_time(job.submitted_at)}"
    )
    if job.spec.batch:
        click.echo(f"batch {one_line(job.spec.batch)}")
    what = job.spec.executable or "; ".join(job.spec.commands)
    where = f" in {one_line(job.spec.folder)}" if job.spec.folder else ""
    print_block(Text(f"runs {one_line(what)}{where}", no_wrap=True, overflow="ellipsis"))
    click.echo()


def _print_attempts(job: Job, attempts: list[Attempt]) -> None:
    """A line for each attempt, the one that runs last."""
    import time

    from shoal.cli.output import duration, print_table, short_time
    from shoal.core.job import Started

    now = time.time()
    rows = [
        (
            str(attempt.token),
            attempt.worker,
            short_time(attempt.started_at, now),
            duration(attempt.ended_at - attempt.started_at),
            "-" if attempt.exit_code is None else str(attempt.exit_code),
            str(attempt.ending),
            attempt.reason,
        )
        for attempt in attempts
    ]
    if isinstance(job.state, Started):
        lease = job.state.lease
        started = short_time(lease.started_at, now)
        ran = duration(now - lease.started_at)
        rows.append((str(job.token), lease.worker, started, ran, "-", "runs", ""))
    if rows:
        print_table(("attempt", "worker", "started", "took", "exit", "ending", "reason"), rows)
        click.echo()
