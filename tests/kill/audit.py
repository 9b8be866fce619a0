"""The invariants of a job table, checked on the SQLite file itself and not through the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from shoal.core.confirm import Outcome
from shoal.core.errors import StaleToken
from shoal.core.job import Status
from shoal.local.bells import Bells
from shoal.local.store import SqliteStore

CONFIRMED = Outcome(True, "confirmed", 0)
FAR_FUTURE = 4e9
FINISHED = ("Successful", "Failed", "Cancelled")
LEASE = ("worker", "started_at", "lease_until")


class Row(NamedTuple):
    """What these tests look at of a job's row."""

    seq: int
    job_id: str
    status: str
    run: int
    attempt: int
    failures: int
    interruptions: int


class AttemptRow(NamedTuple):
    """An attempt that ended."""

    run: int
    attempt: int
    worker: str
    ending: str
    reason: str


class Table(NamedTuple):
    """A job table as it stands: rows by job id, and by job id the attempts and settled runs."""

    jobs: dict[str, Row]
    attempts: dict[str, list[AttemptRow]]
    settled: dict[str, list[tuple[int, str]]]


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing."""
    connection = sqlite3.connect(database, timeout=30.0)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only = ON")
        yield connection
    finally:
        connection.close()


def read_consistent(database: Path) -> Table:
    """Read a job table, asserting that it is one that a kill may leave behind.

    Each job is queued, started under a lease, or finished, and its counters, the records of its
    attempts and the settlements of its runs tell the same story.
    """
    with opened(database) as connection:
        connection.execute("BEGIN")  # all that follows is of one moment
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        table = _read(connection)
        for row in connection.execute("SELECT * FROM job"):
            _check_state(row)
    for job_id, job in table.jobs.items():
        _check_story(job, table.attempts[job_id], table.settled[job_id])
    return table


def _read(connection: sqlite3.Connection) -> Table:
    columns = ", ".join(Row._fields)
    rows = [Row(*row) for row in connection.execute(f"SELECT {columns} FROM job")]
    names = {row.seq: row.job_id for row in rows}
    attempts: dict[str, list[AttemptRow]] = {row.job_id: [] for row in rows}
    for seq, *attempt in connection.execute(
        "SELECT seq, run, attempt, worker, ending, reason FROM attempt ORDER BY seq, run, attempt"
    ):
        attempts[names[seq]].append(AttemptRow(*attempt))
    settled: dict[str, list[tuple[int, str]]] = {row.job_id: [] for row in rows}
    for seq, run, status in connection.execute(
        "SELECT seq, run, status FROM settlement WHERE seq IS NOT NULL ORDER BY cursor"
    ):
        settled[names[seq]].append((run, status))
    return Table({row.job_id: row for row in rows}, attempts, settled)


def _check_state(row: sqlite3.Row) -> None:
    name, status = row["job_id"], row["status"]
    assert status in ("Queued", "Started", *FINISHED), name
    for column in LEASE:
        assert (row[column] is not None) == (status == "Started"), (name, status, column)
    assert (row["finished_at"] is not None) == (status in FINISHED), (name, status)


def _check_story(job: Row, attempts: list[AttemptRow], settled: list[tuple[int, str]]) -> None:
    # One settlement for each run that is over, in their order, and none for a run that is not.
    over = job.run if job.status in FINISHED else job.run - 1
    assert [run for run, _ in settled] == list(range(1, over + 1)), job
    if job.status in FINISHED:
        assert settled[-1][1] == job.status, job
    ended = [attempt for attempt in attempts if attempt.run == job.run]
    assert len(ended) == job.attempt - (job.status == "Started"), job
    endings = [attempt.ending for attempt in ended]
    assert endings.count("failed") == job.failures, job
    assert endings.count("interrupted") == job.interruptions, job
    for run in range(1, job.run + 1):
        of_run = [attempt for attempt in attempts if attempt.run == run]
        assert [attempt.attempt for attempt in of_run] == list(range(1, len(of_run) + 1)), job
        successful = [attempt.ending == "successful" for attempt in of_run]
        is_successful = (run, "Successful") in settled
        assert successful.count(True) == is_successful, job
        assert not is_successful or successful[-1], job


def finish_all(database: Path) -> Table:
    """Let another worker do all that is left to do, after whatever has become of the last one."""
    store = SqliteStore(database, Bells(database.parent / "bells"), synced=False, create=False)
    try:
        started = store.jobs(statuses=[Status.STARTED])
        reaped = store.reap(lambda worker: True, FAR_FUTURE, limit=1_000)
        stopped = {job.job_id for job in store.jobs(None, [Status.CANCELLED], None, "hunt")}
        assert {job.job_id for job in reaped} == {job.job_id for job in started} - stopped
        store.resume()
        job = store.claim("another-worker", FAR_FUTURE, 60.0)
        while job is not None:
            job = store.settle(job, CONFIRMED, FAR_FUTURE, 0.0, 60.0)
        assert store.counts().live == 0
        for lost in started:
            with pytest.raises(StaleToken):
                store.settle(lost, CONFIRMED, FAR_FUTURE, 0.0, 60.0)
    finally:
        store.close()
    return read_consistent(database)
