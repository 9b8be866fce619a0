"""What a contestant is, the floor that all are measured against, and the table of a contest.

Machines drift from minute to minute, so a contest runs everyone in turn, round after round, and
compares within a round. To enter, subclass `Contestant` and hand an instance to `compare`.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from processes import RUN_LIMIT_S, Skipped, child_environment, end_after

Record = Literal["durable", "in memory", "none"]

FLOOR_DRIVER = Path(__file__).parent / "drivers" / "floor_driver.py"


class Lost(Exception):
    """A run in which some jobs did not end with exit code 0."""

    def __init__(self, count: int, elapsed_s: float) -> None:
        super().__init__(f"lost {count}")
        self.count = count
        self.elapsed_s = elapsed_s


class Contestant(Protocol):
    """Something that runs shell commands side by side.

    `record` says what a contestant keeps of each finished job. `share` is the part of a
    scenario's jobs that it is given, below 1 when it is slow: results are per second.
    """

    name: str
    record: Record
    share: float = 1.0
    note: str = ""

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Run `sh -c command` `jobs` times, `workers` at once, and return the seconds it took.

        The time runs from the first submission until the end of the last job is known. The start
        of a server or a worker pool before that is not part of it; that of a one-shot command
        (xargs, parallel) is. `folder` is fresh and goes away afterwards. Raises `Lost` when not
        every job ended with exit code 0, `Skipped` when it can't be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command to run many times."""

    name: str
    command: str
    jobs: int
    workers: int

    def __str__(self) -> str:
        return f"{self.name}: {self.jobs} jobs of `{self.command}` on {self.workers} workers"


SCENARIOS = {
    "noop": Scenario("noop", "true", 2000, 2),
    "sleep": Scenario("sleep", "echo hello; sleep 0.05", 500, 8),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant's result. The rate and the share are None when it never finished a run."""

    name: str
    record: Record
    jobs_per_s: float | None
    share: float | None
    shares: tuple[float, ...]
    note: str


@dataclass(slots=True)
class _Tally:
    """What a contestant has done so far."""

    contestant: Contestant
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def row(self) -> Row:
        known = bool(self.rates)
        return Row(
            name=self.contestant.name,
            record=self.contestant.record,
            jobs_per_s=statistics.median(self.rates) if known else None,
            share=statistics.median(self.shares) if known else None,
            shares=tuple(self.shares),
            note="; ".join(filter(None, [*self.remarks, self.contestant.note])),
        )


class Floor(Contestant):
    """The least that running these jobs can cost: W bare loops of posix_spawn and waitpid."""

    name = "floor"
    record: Record = "none"
    note = "bare posix_spawn loop, output thrown away"

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Each process gets an equal part of the jobs beforehand."""
        parts = [jobs // workers + (index < jobs % workers) for index in range(workers)]
        loops = [
            subprocess.Popen(
                [sys.executable, "-S", str(FLOOR_DRIVER), command, str(part)],
                cwd=folder,
                env=child_environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for part in parts
        ]
        with end_after(RUN_LIMIT_S, loops):
            for loop in loops:
                assert loop.stdout
                loop.stdout.readline()
            started = time.perf_counter()
            for loop in loops:
                assert loop.stdin
                loop.stdin.write("go\n")
                loop.stdin.flush()
            succeeded = sum(int(loop.stdout.readline() or 0) for loop in loops if loop.stdout)
            elapsed_s = time.perf_counter() - started
        return all_or_lost(succeeded, jobs, elapsed_s)


def all_or_lost(succeeded: int, jobs: int, elapsed_s: float) -> float:
    """Return the time if every job succeeded, else raise `Lost`."""
    if succeeded < jobs:
        raise Lost(jobs - succeeded, elapsed_s)
    return elapsed_s


def compare(contestants: Iterable[Contestant], scenario: Scenario, rounds: int) -> list[Row]:
    """Run the floor and each contestant in turn, `rounds` times; return a row for each.

    Before that everyone runs a handful of jobs, uncounted: it brings in what has to be installed
    and warms the caches, and whoever can't be had is left out with the reason.
    """
    tallies = [_Tally(contestant) for contestant in (Floor(), *contestants)]
    running = [tally for tally in tallies if _warm_up(tally, scenario)]
    for number in range(1, rounds + 1):
        floor_rate: float | None = None
        for tally in running:
            rate = _measure(tally, scenario, number)
            if floor_rate is None:  # the floor goes first
                floor_rate = rate
            if not floor_rate:
                raise RuntimeError(f"no floor to compare with: {tally.row().note}")
            if rate is not None:
                tally.rates.append(rate)
                tally.shares.append(rate / floor_rate)
                _say(f"{scenario.name} {number}/{rounds}: {tally.contestant.name} {rate:.0f}/s")
    return [tally.row() for tally in tallies]


def render(rows: Sequence[Row]) -> str:
    """Lay the rows out as an aligned table."""
    head = ("peer", "jobs/s", "share of floor", "lowest-highest", "keeps a record?", "notes")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in (1, 2, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    if row.jobs_per_s is None or row.share is None:
        return (row.name, "-", "-", "-", row.record, row.note)
    spread = f"{min(row.shares):.2f}-{max(row.shares):.2f}"
    return (row.name, f"{row.jobs_per_s:.0f}", f"{row.share:.2f}", spread, row.record, row.note)


def _warm_up(tally: _Tally, scenario: Scenario) -> bool:
    """Return whether the contestant can be had at all."""
    if isinstance(tally.contestant, Floor):
        return True
    _say(f"{scenario.name}: getting {tally.contestant.name} ready")
    try:
        with _fresh_folder() as folder:
            tally.contestant.run("true", scenario.workers, scenario.workers, folder)
    except Lost:
        return True  # the rounds will show how many
    except (Skipped, OSError) as reason:
        tally.remarks.append(f"skipped: {reason}")
        return False
    return True


def _measure(tally: _Tally, scenario: Scenario, number: int) -> float | None:
    """Run once; return the jobs a second, or None with a remark when there is no telling."""
    jobs = max(scenario.workers, round(scenario.jobs * tally.contestant.share))
    try:
        with _fresh_folder() as folder:
            elapsed_s = tally.contestant.run(scenario.command, jobs, scenario.workers, folder)
    except Lost as lost:
        tally.remarks.append(f"lost {lost.count} of {jobs} in round {number}")
        return (jobs - lost.count) / lost.elapsed_s
    except (Skipped, OSError) as reason:
        tally.remarks.append(f"round {number} skipped: {reason}")
        return None
    return jobs / elapsed_s


@contextlib.contextmanager
def _fresh_folder() -> Iterator[Path]:
    """TMPDIR says where: on a disk, or else the durable ones sync to memory for nothing."""
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
