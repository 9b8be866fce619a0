"""What the demo says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoal.cli.output import STYLES, duration, new_table, one_line, print_block
from shoal.core.job import Ending, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from shoal.demo.example import Example
    from shoal.demo.story import Facts
    from shoal.local.layout import Layout

ENDING_STYLES = {
    Ending.SUCCESSFUL: STYLES[Status.SUCCESSFUL],
    Ending.FAILED: STYLES[Status.FAILED],
    Ending.INTERRUPTED: STYLES[Status.CANCELLED],
    Ending.CANCELLED: STYLES[Status.CANCELLED],
}


def report(
    facts: Facts, problems: Sequence[str], example: Example, layout: Layout, *, kept: bool
) -> None:
    """Print the end of the story.

    Args:
        facts: all that was measured.
        problems: what is not as it should be.
        example: what was run.
        layout: of the environment.
        kept: whether the folder stays.
    """
    _section("Jobs", _counts(facts))
    _section("The jobs to which something happened", _attempts(facts))
    _section("Results: delay in ps at each corner", _delays(facts, example))
    _section("The killed worker", _kills(facts))
    if kept:
        _section("Where it lies", _places(layout))
        _section("Next", _next_steps(facts, layout, example))
    click.echo()
    if problems:
        _say("Not as it should be:", "bold red")
        for problem in problems:
            _say(f"  {one_line(problem)}", "red")
    else:
        jobs = len(facts.look.jobs)
        _say(
            f"All {jobs} jobs are Successful, each settled once, and no worker is left.",
            "bold green",
        )


def _say(text: str, style: str) -> None:
    from rich.text import Text

    print_block(Text(text, style))


def _section(title: str, content: RenderableType) -> None:
    from rich.padding import Padding

    click.echo()
    _say(title, "bold")
    print_block(Padding(content, (0, 0, 0, 2), expand=False))


def _counts(facts: Facts) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    table = new_table(*Status)
    for column in table.columns:
        column.justify = "right"
    table.add_row(*(Text(str(facts.look.count(status)), STYLES[status]) for status in Status))
    workers = len(facts.look.workers)
    return Group(
        table,
        Text(
            f"took {duration(facts.took_s)}; at most {facts.most_queued} in the queue"
            f" and {facts.most_workers} workers at a time; workers now: {workers}"
        ),
    )


def _attempts(facts: Facts) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    interrupted = [job for _, job, _ in facts.interrupted]
    for job in {job.job_id: job for job in (*facts.retried, *interrupted)}.values():
        heading = f": retries {job.retries}, interruptions {job.interruptions}"
        status = Text(job.status, STYLES[job.status])
        parts.append(Text.assemble(f"{one_line(job.job_id)} is ", status, heading))
        table = new_table("attempt", "worker", "took", "ending", "reason")
        for attempt in facts.attempts[job.job_id]:
            table.add_row(
                str(attempt.attempt),
                attempt.worker,
                duration(attempt.ended_at - attempt.started_at),
                Text(attempt.ending, ENDING_STYLES[attempt.ending]),
                Text(one_line(attempt.reason)),
            )
        parts.append(Padding(table, (0, 0, 0, 2), expand=False))
    return Group(*parts)


def _delays(facts: Facts, example: Example) -> RenderableType:
    """Process by voltage and temperature; a dash is a corner without a result."""
    from rich.console import Group
    from rich.text import Text

    corners = example.corners
    points = sorted({(of.voltage_v, of.temperature_c) for of in corners})
    delays = {
        (of.process, of.voltage_v, of.temperature_c): facts.delays_ps.get(of.name) for of in corners
    }
    table = new_table("process", *(f"{voltage:.2f} V\n{heat:g} C" for voltage, heat in points))
    for column in table.columns[1:]:
        column.justify = "right"
    for process in dict.fromkeys(of.process for of in corners):
        row = [delays.get((process, *point)) for point in points]
        table.add_row(process, *("-" if delay is None else f"{delay:.2f}" for delay in row))
    if not facts.delays_ps:
        return table
    by_delay = sorted(facts.delays_ps, key=facts.delays_ps.__getitem__)
    ends = [
        f"{word}: {name}, {facts.delays_ps[name]:.2f} ps"
        for word, name in (("fastest", by_delay[0]), ("slowest", by_delay[-1]))
    ]
    return Group(table, Text("; ".join(ends)))


def _kills(facts: Facts) -> RenderableType:
    from rich.text import Text

    lines = []
    for kill, job, cost in facts.interrupted:
        healed_s = max(0.0, cost.ended_at - kill.at)
        last = facts.attempts[job.job_id][-1]
        lines.append(
            f"{kill.worker} (process {kill.pid}) got SIGKILL {kill.ran_s:.1f} s into attempt"
            f" {cost.attempt} of {job.job_id}. {1000 * healed_s:.0f} ms later the job was on the"
            f" queue again; {last.worker} ended it as attempt {last.attempt}: {last.ending}."
            f" Retries used up: {job.retries}."
        )
    return Text("\n".join(lines) or "none")


def _places(layout: Layout) -> RenderableType:
    table = new_table("", "")
    table.show_header = False
    for what, where in (
        ("folder", layout.root),
        ("results", layout.root / "*" / "result.json"),
        ("logs", layout.logs),
        ("database", layout.database),
        ("settings", layout.settings),
    ):
        table.add_row(what, str(where))
    return table


def _next_steps(facts: Facts, layout: Layout, example: Example) -> RenderableType:
    import shlex
    import shutil
    import sys

    from rich.text import Text

    shoal = "shoal" if shutil.which("shoal") else sys.argv[0]
    jobs = [job.job_id for job in facts.retried]
    steps = [
        [shoal, "status", "-e", str(layout.root)],
        *([shoal, "status", job, "-e", str(layout.root)] for job in jobs),
        *([shoal, "logs", job, "-e", str(layout.root)] for job in jobs),
        ["python3", _shortest(example.folder / "collect.py"), str(layout.root)],
    ]
    return Text("\n".join(map(shlex.join, steps)))


def _shortest(path: Path) -> str:
    """A path as a person would type it here."""
    import os

    return min(str(path), os.path.relpath(path), key=len)
