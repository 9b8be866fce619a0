"""What verbs print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shoal.core.job import Attempt, Finished, Job, Queued, Settlement, Started, Status
from shoal.report.words import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

STYLES = {
    Status.QUEUED: "cyan",
    Status.STARTED: "yellow",
    Status.SUCCESSFUL: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "magenta",
}
WIDE = 10_000
MAX_CELL = 200
GAP = "  "
MIN_CUT = 20


def say(text: str) -> None:
    """A line for people, on standard error where it does not get into the way of output."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One value, on one line."""
    try:
        click.echo(msgspec.json.encode(value))
    except UnicodeEncodeError:  # a file's name is no valid UTF-8: escaped, nothing of it is lost
        click.echo(json.dumps(msgspec.to_builtins(value)))


def console() -> Console:
    """Standard output with colours only on a terminal, and there alone cut to its width."""
    from rich.console import Console

    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else WIDE, highlight=False)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Status]], *, cut: bool = False
) -> None:
    """An aligned table; a status gets its colour. Cells are text, never markup.

    Args:
        columns: their headings.
        rows: the cells.
        cut: on a terminal, cut the last column so that each row is one line.
    """
    from rich.cells import set_cell_size
    from rich.text import Text

    lines = [
        [
            Text(cell, STYLES[cell]) if isinstance(cell, Status) else Text(one_line(cell))
            for cell in row
        ]
        for row in rows
    ]
    out = console()
    if cut and sys.stdout.isatty():
        widths = [
            max(len(name), *(line[at].cell_len for line in lines))
            for at, name in enumerate(columns[:-1])
        ]
        left = max(MIN_CUT, out.width - sum(widths) - len(widths) * len(GAP))
        for line in lines:
            if line[-1].cell_len > left:
                line[-1] = Text(set_cell_size(line[-1].plain, left - 1).rstrip() + "…")
    table = new_table(*columns)
    for line in lines:
        table.add_row(*line)
    print_block(table)


def new_table(*columns: str) -> Table:
    """An empty table in the one look that all of ours have."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_block(content: RenderableType) -> None:
    """Print what rich makes of it, without the spaces it puts at the ends of lines."""
    out = console()
    if sys.stdout.isatty():
        out.print(content)
        return
    with out.capture() as captured:
        out.print(content)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def one_line(text: str) -> str:
    """Text from a job as one line that can do nothing to a terminal."""
    return visible(text, MAX_CELL)


def clock_time(at: float | None) -> str:
    """A time for people, in their own zone."""
    if at is None:
        return "-"
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_time(at: float, now: float) -> str:
    """A time for people, without the date when that is today's."""
    moment, today = (datetime.fromtimestamp(of).astimezone() for of in (at, now))
    full = clock_time(at)
    return full.partition(" ")[2] if moment.date() == today.date() else full


def iso_time(at: float) -> str:
    """A time for programs: ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def duration(seconds: float) -> str:
    """A span of time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def job_item(job: Job, log: str | None = None) -> dict[str, Any]:
    """A job for programs: the original's attributes under their names, then Shoal's own."""
    spec = job.spec
    item: dict[str, Any] = {
        "job_id": job.job_id,
        "Status": job.status,
        "Retries": job.retries,
        "SSM_Document": spec.ssm_document,
        "Commands": list(spec.commands) if spec.executable is None else [f"./{spec.executable}"],
        "Output_Logs": log,
        "instance_id": job.state.lease.worker if isinstance(job.state, Started) else None,
        "run": job.run,
        "attempt": job.attempt,
        "interruptions": job.interruptions,
        "priority": spec.priority,
        "submitted_at": iso_time(job.submitted_at),
    }
    match job.state:
        case Queued(not_before) if not_before:
            item["not_before"] = iso_time(not_before)
        case Started(lease):
            item["started_at"] = iso_time(lease.started_at)
            item["lease_until"] = iso_time(lease.until)
        case Finished(_, reason, exit_code, at):
            item |= {"reason": reason, "exit_code": exit_code, "finished_at": iso_time(at)}
    if spec.folder is not None:
        item["folder"] = spec.folder
    if spec.batch:
        item["batch"] = spec.batch
    if spec.tags:
        item["tags"] = spec.tags
    return item


def attempt_item(attempt: Attempt, log: str | None) -> dict[str, Any]:
    """An attempt for programs."""
    return {
        "run": attempt.run,
        "attempt": attempt.attempt,
        "instance_id": attempt.worker,
        "started_at": iso_time(attempt.started_at),
        "ended_at": iso_time(attempt.ended_at),
        "ending": attempt.ending,
        "exit_code": attempt.exit_code,
        "reason": attempt.reason,
        "Output_Logs": log,
    }


def settlement_item(settlement: Settlement) -> dict[str, Any]:
    """A line on the finished or failed queue, for programs."""
    return {
        "cursor": settlement.cursor,
        "queue": {Status.SUCCESSFUL: "finished", Status.CANCELLED: "cancelled"}.get(
            settlement.status, "failed"
        ),
        "job_id": settlement.job_id,
        "run": settlement.run,
        "status": settlement.status,
        "reason": settlement.reason,
        "settled_at": iso_time(settlement.settled_at),
        "job": msgspec.Raw(settlement.job.encode()),
    }


def job_state_text(job: Job, now: float) -> str:
    """What there is to say about a job's state, for a table."""
    match job.state:
        case Queued(not_before):
            return f"backs off for {duration(not_before - now)}" if not_before > now else ""
        case Started(lease):
            return f"on {lease.worker} for {duration(max(0.0, now - lease.started_at))}"
        case Finished(_, reason, _, _):
            return reason


def print_changed(jobs: Sequence[Job], how: str, as_json: bool) -> None:
    """Say which jobs a verb has changed."""
    if as_json:
        print_json([job_item(job) for job in jobs])
        return
    for job in jobs[:10]:
        click.echo(job.job_id)
    say(f"{len(jobs):,} job{'s' * (len(jobs) != 1)} {how}")
