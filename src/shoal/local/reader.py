"""Reading the SQLite file: all of `ports.JobStore` that changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import JobNotFound
from shoal.core.job import Attempt, Job, Settlement, Status
from shoal.local import schema
from shoal.local.pages import WAYS, filters, read_page
from shoal.local.rows import ALL_COLUMNS, COLUMNS, attempt_of, job_of, settlement_of
from shoal.ports import Backlog, Counts, Page, Query

KEY = "CAST(? AS TEXT)"
"""A key, given as bytes: names of files need not be valid UTF-8."""

SELECT = f"SELECT {COLUMNS} FROM job"
SELECT_ENDED = (
    f"SELECT settled_at, {ALL_COLUMNS}"
    " FROM settlement CROSS JOIN job USING (seq) ORDER BY cursor DESC"
)
SELECT_ATTEMPTS = (
    "SELECT job_id, attempt.run, attempt.attempt, attempt.worker, attempt.started_at, ended_at,"
    " ending, attempt.exit_code, attempt.reason FROM job JOIN attempt USING (seq)"
)
MAX_INTEGER = 2**63 - 1


class SqliteReader:
    """What can be read from the file of a store.

    Args:
        path: the file.
        create: make it when it is missing.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._connection = schema.connect(path, create=create)
        self._execute = self._connection.execute

    def is_paused(self) -> bool:
        with self._reading():
            row = self._execute("SELECT 1 FROM flag WHERE name = 'paused'").fetchone()
        return row is not None

    def job(self, job_id: str) -> Job:
        with self._reading():
            job = self._find(job_id)
        if job is None:
            raise JobNotFound(f"there is no job {job_id!r}", "'shoal status' lists them")
        return job

    def jobs(
        self,
        pattern: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        conditions, values = filters(pattern, tuple(statuses), batch)
        with self._reading():
            try:
                rows = self._execute(
                    f"{SELECT} WHERE TRUE{conditions} ORDER BY seq DESC LIMIT ?",
                    (*values, -1 if limit is None else limit),
                ).fetchall()
            except UnicodeEncodeError:
                return []  # the pattern is not valid UTF-8, but every id is
        return [job_of(row) for row in rows]

    orders = tuple(WAYS)

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        with self._reading():
            try:
                return read_page(self._execute, query, after, limit)
            except UnicodeEncodeError:
                return Page([], None)  # what is asked for is not valid UTF-8, but every id is

    def attempts(self, job_id: str) -> list[Attempt]:
        with self._reading():
            rows = self._execute(
                f"{SELECT_ATTEMPTS} WHERE job_id = ? ORDER BY attempt.run, attempt.attempt",
                (job_id,),
            ).fetchall()
        return [attempt_of(*row[1:]) for row in rows]

    def attempts_of(self, jobs: Sequence[Job]) -> dict[str, list[Attempt]]:
        found: dict[str, list[Attempt]] = {job.job_id: [] for job in jobs}
        ids = json.dumps([*found])
        with self._reading():
            rows = self._execute(
                f"{SELECT_ATTEMPTS} WHERE job_id IN (SELECT value FROM json_each(?))"
                " ORDER BY job.seq, attempt.run, attempt.attempt",
                (ids,),
            )
            for job_id, *row in rows:
                found[job_id].append(attempt_of(*row))
        return found

    def recent(self, since: float, limit: int) -> list[Job]:
        found: dict[str, Job] = {}
        with self._reading():
            for which in (
                "WHERE status = 'Started' ORDER BY started_at DESC",
                "WHERE status = 'Queued' AND attempt > 0 ORDER BY seq",
            ):
                for row in self._execute(f"{SELECT} {which} LIMIT ?", (limit,)):
                    job = job_of(row)
                    found[job.job_id] = job
            for settled_at, *row in self._execute(SELECT_ENDED):
                if settled_at < since or len(found) >= limit:
                    break
                job = job_of(row)
                found.setdefault(job.job_id, job)
        return list(found.values())[:limit]

    def backlog(self, now: float, at_most: int) -> Backlog:
        with self._reading():
            row = self._execute(
                "SELECT (SELECT count(*) FROM flag WHERE name = 'paused'),"
                " (SELECT count(*) FROM (SELECT 1 FROM job"
                "   WHERE status = 'Queued' AND not_before = 0 LIMIT :most)),"
                " (SELECT count(*) FROM (SELECT 1 FROM job"
                "   WHERE status = 'Queued' AND not_before > 0 AND not_before <= :now"
                "   LIMIT :most)),"
                " (SELECT count(*) FROM (SELECT 1 FROM job"
                "   WHERE status = 'Queued' AND not_before > 0 LIMIT :most)),"
                " (SELECT min(not_before) FROM job WHERE status = 'Queued' AND not_before > :now),"
                " (SELECT count(*) FROM job WHERE status = 'Started')",
                {"now": now, "most": at_most},
            ).fetchone()
        paused, ready, due, delayed, next_due, started = row
        if paused:
            return Backlog(0, started, None, min(ready + delayed, at_most))
        return Backlog(min(ready + due, at_most), started, next_due)

    def counts(self, batch: str | None = None) -> Counts:
        if batch is not None:
            return self._counts_of(batch)
        with self._reading():
            total, ready, delayed, started, failed, cancelled = self._execute(
                "SELECT (SELECT count(*) FROM job),"
                " (SELECT count(*) FROM job WHERE status = 'Queued' AND not_before = 0),"
                " (SELECT count(*) FROM job WHERE status = 'Queued' AND not_before > 0),"
                " (SELECT count(*) FROM job WHERE status = 'Started'),"
                " (SELECT count(*) FROM job WHERE status = 'Failed'),"
                " (SELECT count(*) FROM job WHERE status = 'Cancelled')"
            ).fetchone()
        return Counts(
            {
                Status.QUEUED: ready + delayed,
                Status.STARTED: started,
                Status.SUCCESSFUL: total - ready - delayed - started - failed - cancelled,
                Status.FAILED: failed,
                Status.CANCELLED: cancelled,
            }
        )

    def _counts_of(self, batch: str) -> Counts:
        by_status = dict.fromkeys(Status, 0)
        with self._reading():
            try:
                rows = self._execute(
                    "SELECT status, count(*) FROM job WHERE batch = ? GROUP BY status", (batch,)
                )
            except UnicodeEncodeError:
                return Counts(by_status)  # no batch is named by what is not valid UTF-8
            by_status.update({Status(status): number for status, number in rows})
        return Counts(by_status)

    def settlements(self, after: int, limit: int) -> list[Settlement]:
        with self._reading():
            rows = self._execute(
                "SELECT cursor, job_id, settlement.run, settlement.status, settlement.reason,"
                " settled_at, settlement.spec FROM settlement LEFT JOIN job USING (seq)"
                " WHERE cursor > ? ORDER BY cursor LIMIT ?",
                (min(after, MAX_INTEGER), limit),
            ).fetchall()
        return [settlement_of(*row) for row in rows]

    def results(self, job_id: str) -> list[str]:
        with self._reading():
            rows = self._execute(
                "SELECT DISTINCT CAST(result.key AS BLOB) FROM job"
                " JOIN result ON result.seq = job.seq"
                " AND result.key >= json_extract(spec, '$.folder') || '/'"
                " AND result.key < json_extract(spec, '$.folder') || '0'"
                " WHERE job_id = ?",
                (job_id,),
            )
            return [os.fsdecode(key) for (key,) in rows]

    def starts_no_job(self, key: str, version: str) -> bool:
        with self._reading():
            row = self._execute(
                f"SELECT 1 FROM result WHERE key = {KEY} AND version = ?",
                (os.fsencode(key), version),
            ).fetchone()
        return row is not None

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read whatever the audit wants to know."""
        with self._reading():
            return self._execute(sql, values).fetchall()

    def _find(self, job_id: str) -> Job | None:
        try:
            row = self._execute(f"{SELECT} WHERE job_id = ?", (job_id,)).fetchone()
        except UnicodeEncodeError:
            return None  # no job has an id that is not valid UTF-8
        return job_of(row) if row is not None else None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with schema.readable_errors(self.path):
            yield
