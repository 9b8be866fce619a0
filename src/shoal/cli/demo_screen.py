"""What the demo shows while it runs: news, and on a terminal below them how things stand."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shoal.cli.output import STYLES, console, duration
from shoal.core.job import Status
from shoal.demo.look import Kind, Look, News

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

    from shoal.demo.story import Screen

KIND_STYLES = {
    Kind.STEP: "bold",
    Kind.WORKER: "cyan",
    Kind.TROUBLE: "red",
    Kind.RECOVERY: "green",
}
SHOWN = {Status.SUCCESSFUL: "█", Status.FAILED: "█", Status.STARTED: "▓", Status.QUEUED: "░"}
"""The statuses a job can have here, and what the bar draws for one where there are no colours."""

BAR_CELLS = 60
PLAIN_EVERY_S = 3.0


@contextmanager
def screen(jobs: int, max_workers: int) -> Iterator[Screen]:
    """A screen for standard output, be it a terminal or not.

    Args:
        jobs: how many there will be.
        max_workers: how many there may be.
    """
    if not sys.stdout.isatty():
        yield PlainScreen(jobs)
        return
    from rich.live import Live

    with Live(console=console(), transient=True, auto_refresh=False) as live:
        yield TerminalScreen(live, jobs, max_workers)


class PlainScreen:
    """A `Screen` of lines, for where no cursor can move.

    Args:
        jobs: how many there will be.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._began = time.monotonic()
        self._show_at = 0.0

    def tell(self, of: News) -> None:
        """Print a line."""
        self._print(of.text)

    def show(self, now: Look, dropped: int) -> None:
        """Print a line from time to time."""
        at = time.monotonic()
        if at < self._show_at or not now.jobs:
            return
        self._show_at = at + PLAIN_EVERY_S
        counts = ", ".join(f"{now.count(status)} {status}" for status in SHOWN)
        self._print(f"{dropped} of {self._jobs} dropped in: {counts}; workers: {len(now.workers)}")

    def _print(self, text: str) -> None:
        click.echo(f"{time.monotonic() - self._began:5.1f} s  {text}")


class TerminalScreen:
    """A `Screen` with a live part at the bottom.

    Args:
        live: the live part.
        jobs: how many there will be.
        max_workers: how many there may be.
    """

    def __init__(self, live: Live, jobs: int, max_workers: int) -> None:
        self._live = live
        self._jobs = jobs
        self._max_workers = max_workers
        self._began = time.monotonic()

    def tell(self, of: News) -> None:
        """Print a line above the live part."""
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2))
        line.add_column(justify="right", width=7, style="dim")
        line.add_column(overflow="fold")
        line.add_row(f"{time.monotonic() - self._began:.1f} s", Text(of.text, KIND_STYLES[of.kind]))
        self._live.console.print(line)

    def show(self, now: Look, dropped: int) -> None:
        """Draw the live part anew."""
        self._live.update(self._picture(now, dropped), refresh=True)

    def _picture(self, now: Look, dropped: int) -> RenderableType:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        picture = Table.grid(padding=(0, 2))
        picture.add_column(justify="right", width=7, style="dim")
        picture.add_column(no_wrap=True)
        picture.add_row("jobs", self._bar(now))
        counts = [Text(f"{dropped} of {self._jobs} dropped in")]
        counts += [Text(f"{now.count(status)} {status}", STYLES[status]) for status in SHOWN]
        picture.add_row("", Text("   ").join(counts))
        picture.add_row("workers", Text(f"{len(now.workers)} of {self._max_workers}"))
        lines = [_worker_line(now, name) for name in now.workers]
        for place in range(self._max_workers):
            picture.add_row("", lines[place] if place < len(lines) else Text("-", "dim"))
        return Padding(picture, (1, 0, 0, 0))

    def _bar(self, now: Look) -> Text:
        """A piece for each job, drawn by its status."""
        from rich.text import Text

        # 28 columns beside it are for the heading and the numbers.
        width = max(1, min(BAR_CELLS, self._live.console.width - 28) // self._jobs)
        bar = Text()
        for status, cell in SHOWN.items():
            bar.append(cell * width * now.count(status), STYLES[status])
        bar.append("·" * width * (self._jobs - len(now.jobs)), "dim")
        return bar.append(f"  {now.over} of {self._jobs} over")


def _worker_line(now: Look, worker: str) -> Text:
    from rich.text import Text

    if worker not in now.running:
        return Text(f"{worker}  idle", "dim")
    job, state = now.running[worker]
    ran = duration(max(0.0, now.at - state.lease.started_at))
    return Text(f"{worker}  {job.job_id}  {ran}", STYLES[Status.STARTED])
