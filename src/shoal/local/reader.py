"""Reading the SQLite file: all of `ports.JobStore` that changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import JobNotFound, SpecError
from shoal.core.job import Attempt, Job, Settlement, Status
from shoal.local import schema
from shoal.local.rows import COLUMNS, attempt_of, job_of, settlement_of
from shoal.ports import Backlog, Counts

KEY = "CAST(? AS TEXT)"
"""A key, given as bytes: names of files need not be valid UTF-8."""

MAX_PATTERN = 10_000
"""SQLite takes no glob of over 50,000 bytes."""

SELECT = f"SELECT {COLUMNS} FROM job"
MAX_INTEGER = 2**63 - 1
_SET = re.compile(r"\[(?:([!^]?+)(\]?+[^\]]*+\]))?")


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
        self, pattern: str | None = None, statuses: Sequence[Status] = (), limit: int | None = None
    ) -> list[Job]:
        if pattern is not None and len(pattern) > MAX_PATTERN:
            raise SpecError(f"the pattern has {len(pattern):,} characters", "use a shorter one")
        where, values = [], list[Any]()
        if pattern is not None:
            where.append("job_id GLOB ?")
            values.append(_glob(pattern))
        if statuses:
            where.append(f"status IN ({', '.join('?' * len(statuses))})")
            values += [status.value for status in statuses]
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        with self._reading():
            try:
                rows = self._execute(
                    f"{SELECT}{condition} ORDER BY seq DESC LIMIT ?",
                    (*values, -1 if limit is None else limit),
                ).fetchall()
            except UnicodeEncodeError:
                return []  # the pattern is not valid UTF-8, but every id is
        return [job_of(row) for row in rows]

    def attempts(self, job_id: str) -> list[Attempt]:
        with self._reading():
            rows = self._execute(
                "SELECT attempt.run, attempt.attempt, attempt.worker, attempt.started_at, ended_at,"
                " ending, attempt.exit_code, attempt.reason"
                " FROM job JOIN attempt USING (seq) WHERE job_id = ?"
                " ORDER BY attempt.run, attempt.attempt",
                (job_id,),
            ).fetchall()
        return [attempt_of(*row) for row in rows]

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

    def counts(self) -> Counts:
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


def _glob(pattern: str) -> str:
    """A glob as shells write it, in SQLite's words: `[!...]` is `[^...]`, a lone `[` is itself."""
    return _SET.sub(
        lambda found: f"[{'^' if found[1] else ''}{found[2]}" if found[2] else "[[]", pattern
    )
