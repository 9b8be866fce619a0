"""What `shoal top` draws."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from shoal.cli.output import STYLES, duration, one_line
from shoal.core.job import Job, Started, Status
from shoal.report.live import Sample
from shoal.report.words import counted, spoken

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

CELLS = {
    Status.SUCCESSFUL: "█",
    Status.FAILED: "▞",
    Status.CANCELLED: "▒",
    Status.STARTED: "▓",
    Status.QUEUED: "░",
}
"""What the bar draws for each status, in its order; to be told apart without colours."""

LEVELS = "▁▂▃▄▅▆▇█"
MOST_COLUMNS = 100
"""Where no terminal has a width."""

FIXED_LINES = 9
FEWEST_ROWS = 2
LABEL_CELLS = 15


class Failure(NamedTuple):
    """A job that failed, or an attempt after which the job is tried again.

    Args:
        job_id: of the job.
        at: when, in seconds since the epoch.
        reason: why, in words.
        again: whether it is tried again.
    """

    job_id: str
    at: float
    reason: str
    again: bool


class Moment(NamedTuple):
    """All that is shown at a time.

    Args:
        sample: what the last look saw.
        history: as of `Sampler.history`.
        running: jobs that run.
        failed: the latest failures, the last first.
        error: why the environment can't be looked at just now.
    """

    sample: Sample
    history: dict[str, list[float | None]]
    running: Sequence[Job]
    failed: Sequence[Failure]
    error: str | None


def picture(moment: Moment, name: str, columns: int, lines: int | None) -> RenderableType:
    """Draw a moment.

    Args:
        moment: what to show.
        name: of the environment.
        columns: the width there is.
        lines: the height there is; None: all that is needed.
    """
    from rich.console import Group
    from rich.text import Text

    parts = [_title(moment, name), _bar(moment.sample, columns), _counts(moment.sample), Text()]
    parts += _pace(moment, columns)
    workers, failed = _worker_rows(moment), _failure_rows(moment.failed)
    if lines is not None:
        room = max(2 * FEWEST_ROWS, lines - FIXED_LINES - 1 - bool(moment.error))
        for_failed = min(len(failed), max(FEWEST_ROWS, room // 3, room - len(workers)))
        workers, failed = _cut(workers, room - for_failed, "worker"), failed[:for_failed]
    parts += [Text(), Text("workers", "bold"), *(workers or [Text("  none", "dim")])]
    parts += [Text("latest failures", "bold"), *(failed or [Text("  none", "dim")])]
    if moment.error:
        parts.append(Text(one_line(moment.error), "bold red"))
    for part in parts:
        part.no_wrap = True
        part.overflow = "ellipsis"
        part.truncate(columns, overflow="ellipsis")
    return Group(*(parts if lines is None else parts[:lines]))


def _title(moment: Moment, name: str) -> Text:
    from rich.text import Text

    sample = moment.sample
    title = Text.assemble(("shoal top", "bold"), "  ")
    title.append(time.strftime("%H:%M:%S", time.localtime(sample.at)), "dim")
    if sample.paused:
        title.append("  paused", "bold yellow")
    if sample.live and not sample.supervised and not sample.workers:
        title.append("  nobody works on it", "bold yellow")
    title.append(f"  {one_line(name)}")  # last, as it may be longer than the screen is wide
    return title


def _bar(sample: Sample, columns: int) -> Text:
    """As wide as the screen, each status by its share; none that is there is invisible."""
    from rich.text import Text

    total = sum(sample.counts.values())
    if not total:
        return Text("no jobs yet", "dim")
    wide = {
        status: max(1, round(columns * number / total))
        for status in CELLS
        if (number := sample.counts[status])
    }
    widest = max(wide, key=wide.__getitem__)
    wide[widest] = max(1, wide[widest] + columns - sum(wide.values()))
    bar = Text()
    for status, cells in wide.items():
        bar.append(CELLS[status] * cells, STYLES[status])
    return bar


def _counts(sample: Sample) -> Text:
    from rich.text import Text

    counts = [
        Text(f"{CELLS[status]} {sample.counts[status]:,} {status}", STYLES[status])
        for status in CELLS
        if sample.counts[status]
    ]
    return Text("   ").join(counts)


def _pace(moment: Moment, columns: int) -> list[Text]:
    sample, history = moment.sample, moment.history
    columns_of = (history["successful"], history["failed"], history["cancelled"])
    ended = [sum(value or 0 for value in row) for row in zip(*columns_of, strict=True)]
    queued = [value for value in history["queued"] if value is not None]
    eta = f"about {spoken(sample.eta_s)} left" if sample.eta_s is not None else ""
    if sample.live and sample.paused:
        eta = "no job starts"
    width = max(10, min(60, columns - LABEL_CELLS - 32))
    return [
        _chart("jobs a minute", f"{sample.a_minute:,.0f}", ended, width, eta),
        _chart("queue", f"{sample.counts[Status.QUEUED]:,}", queued, width, ""),
    ]


def _chart(label: str, value: str, values: Sequence[float], width: int, said: str) -> Text:
    from rich.text import Text

    line = Text.assemble((f"{label:<{LABEL_CELLS}}", "dim"), f"{value:>9}  ")
    return line.append(sparkline(values, width), "cyan").append(f"  {said}" if said else "")


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of a number, the latest at the right end; each cell the most of its part."""
    if not values:
        return ""
    parts = min(width, len(values))
    edges = [len(values) * place // parts for place in range(parts + 1)]
    tops = [max(values[since:until]) for since, until in pairwise(edges)]
    most = max(tops) or 1
    return "".join(LEVELS[math.ceil(top / most * (len(LEVELS) - 1))] for top in tops)


def _worker_rows(moment: Moment) -> list[Text]:
    """What each worker runs, those first that have run it longest."""
    from rich.text import Text

    now = moment.sample.at
    busy = [(job.state.lease, job) for job in moment.running if isinstance(job.state, Started)]
    alive = {of.worker for of in moment.sample.workers}
    rows = []
    for lease, job in sorted(busy, key=lambda of: of[0].started_at):
        ran = duration(max(0.0, now - lease.started_at))
        row = Text(f"  {one_line(lease.worker):<20} ")
        row.append(f"{ran:>9}  ", STYLES[Status.STARTED]).append(one_line(job.job_id))
        if lease.worker not in alive:
            row.append("  its worker is gone", "dim")
        if job.attempt > 1:
            row.append(f"  attempt {job.attempt}", "dim")
        rows.append(row)
    names = {lease.worker for lease, _ in busy}
    for of in moment.sample.workers:
        if of.worker not in names:
            rows.append(Text(f"  {one_line(of.worker):<20} {'idle':>9}", "dim"))
    return rows


def _failure_rows(failures: Sequence[Failure]) -> list[Text]:
    from rich.text import Text

    rows = []
    for of in failures:
        at = time.strftime("%H:%M:%S", time.localtime(of.at))
        name = (one_line(of.job_id), STYLES[Status.FAILED])
        row = Text.assemble((f"  {at}  ", "dim"), name, f"  {one_line(of.reason)}")
        rows.append(row.append("  (again)", "dim") if of.again else row)
    return rows


def _cut(rows: list[Text], room: int, noun: str) -> list[Text]:
    from rich.text import Text

    if len(rows) <= room:
        return rows
    kept = max(0, room - 1)
    return [*rows[:kept], Text(f"  and {counted(len(rows) - kept, f'more {noun}')}", "dim")]
