"""The job store in one SQLite file: queue and table in one, so that a change is one transaction.

Every write is an UPDATE guarded by status and fencing token of the job that the decision was made
on. Submissions are synced to disk before they are acknowledged. A worker's settlements are not
(`synced=False`): after a power cut the last ones may be replayed, which the lease makes harmless.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from shoal.core.confirm import Outcome
from shoal.core.errors import JobNotFound, NotAllowed, StaleToken, StoreError
from shoal.core.job import Job, Queued, Started
from shoal.core.lifecycle import (
    Cancelled,
    Claimed,
    Decision,
    Event,
    Exited,
    Interrupted,
    Record,
    Renewed,
    RetryAsked,
    Settle,
    StopAttempt,
    StopBatch,
    Submitted,
    decide,
)
from shoal.core.spec import refused_json, spec_json
from shoal.local import schema
from shoal.local.bells import Bells
from shoal.local.reader import KEY, SELECT, SqliteReader
from shoal.local.rows import (
    COLUMNS,
    STATE_COLUMNS,
    attempt_row,
    guard,
    job_of,
    run_row,
    state_row,
)
from shoal.ports import Submission, SubmitReport

CHUNK = 10_000
"""Jobs in one transaction of a bulk submission: large enough to make its sync to disk cheap,
small enough (a tenth of a second) not to hold up the workers."""

CHANGES = 1_000
"""Jobs in one transaction that cancels or retries many."""

TURN_STEP_S, TURN_TRIES = 10e-6, 5_000

_INSERT = (
    f"INSERT INTO job(job_id, {COLUMNS}) VALUES ({', '.join('?' * 18)})"
    " ON CONFLICT(job_id) DO NOTHING"
)
_GUARD = " WHERE job_id = ? AND status = ? AND run = ? AND attempt = ?"
_UPDATE_RUN = f"UPDATE job SET ({COLUMNS}) = ({', '.join('?' * 17)})" + _GUARD
_UPDATE_STATE = f"UPDATE job SET ({STATE_COLUMNS}) = ({', '.join('?' * 11)})" + _GUARD
_RECORD = "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SETTLE = (
    "INSERT INTO settlement(seq, run, status, reason, settled_at, spec) VALUES (?, ?, ?, ?, ?, ?)"
)
_STOP = "INSERT INTO stopped VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET done = 0"
_LIVE_OF_BATCH = (
    "SELECT seq, job_id FROM job WHERE batch = ? AND seq > ? AND status IN ('Queued', 'Started')"
    " ORDER BY seq LIMIT ?"
)
_PROMOTE = (
    "UPDATE job SET not_before = 0 WHERE status = 'Queued' AND not_before > 0 AND not_before <= ?"
)
_NEXT = (
    "SELECT seq, EXISTS (SELECT 1 FROM job"
    " WHERE status = 'Queued' AND not_before > 0 AND not_before <= :now),"
    f" {COLUMNS} FROM job WHERE status = 'Queued' AND not_before = 0"
    " AND NOT EXISTS (SELECT 1 FROM flag WHERE name = 'paused')"
    " ORDER BY priority DESC, seq LIMIT 1"
)


class SqliteStore(SqliteReader):
    """A `ports.JobStore` on one file.

    Args:
        path: the file.
        bells: rung after a change, to wake those who wait for it.
        synced: whether each change is on disk before it is acknowledged.
        create: make the file when it is missing.
    """

    def __init__(
        self, path: Path, bells: Bells, *, synced: bool = True, create: bool = True
    ) -> None:
        super().__init__(path, create=create)
        self._bells = bells
        self._synced = synced
        try:
            self._turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            self._connection.close()
            raise StoreError(
                f"{path} can't be opened for writing ({error.strerror})", "check its permissions"
            ) from error
        self._seqs: dict[str, int] = {}
        self._stop_first: str | None = None
        if not synced:
            self._execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        self._connection.close()
        if self._turn >= 0:
            os.close(self._turn)
            self._turn = -1

    # --- submit -----------------------------------------------------------------------------

    def submit(self, submissions: Iterable[Submission], now: float) -> SubmitReport:
        accepted = unchanged = 0
        remaining = iter(submissions)
        while chunk := list(islice(remaining, CHUNK)):
            rung: list[Decision] = []
            with self._transaction(synced=True):
                new = self._insert_new(chunk, now)
                if not new:
                    for spec, delivery_id in chunk:
                        decision = self._apply(spec.job_id, Submitted(spec, delivery_id), now)
                        new += bool(decision.effects)
                        rung.append(decision)
            accepted += new
            unchanged += len(chunk) - new
            if new:
                self._bells.ring_workers(new)
            for decision in rung:
                self._ring(decision)
        return SubmitReport(accepted, unchanged)

    def _insert_new(self, chunk: list[Submission], now: float) -> int:
        """Insert a chunk in which every job is new; if one is not, insert none and return 0."""
        jobs = [decide(None, Submitted(*submission), now).job for submission in chunk]
        rows = [(job.spec.job_id, *run_row(job), *state_row(job)) for job in jobs]
        self._execute("SAVEPOINT chunk")
        inserted = self._connection.executemany(_INSERT, rows).rowcount
        if inserted != len(chunk):
            self._execute("ROLLBACK TO chunk")
            inserted = 0
        self._execute("RELEASE chunk")
        return inserted

    # --- a worker's calls -------------------------------------------------------------------

    def claim(self, worker: str, now: float, lease_s: float) -> Job | None:
        while True:
            self._stop_first = None
            with self._transaction():
                job = self._claim(worker, now, lease_s)
            if self._stop_first is None:
                return job
            now += self._finish_stop(self._stop_first, now)

    def renew(self, job: Job, now: float, lease_s: float) -> Job:
        with self._transaction():
            return self._write(job, decide(job, Renewed(job.token, now + lease_s), now), now).job

    def settle(
        self, job: Job, outcome: Outcome, now: float, backoff_s: float, next_lease_s: float | None
    ) -> Job | None:
        decision = decide(job, Exited(job.token, outcome, backoff_s), now)
        next_job = None
        assert isinstance(job.state, Started)
        worker = job.state.lease.worker
        stops = [effect.batch for effect in decision.effects if isinstance(effect, StopBatch)]
        self._stop_first = stops[0] if stops else None
        with self._transaction():
            self._write(job, decision, now)
            # A job that is claimed now would have to wait until the batch is stopped.
            if next_lease_s is not None and not stops:
                next_job = self._claim(worker, now, next_lease_s)
        self._ring(decision)
        if self._stop_first is None:
            return next_job
        now += self._finish_stop(self._stop_first, now)
        return self.claim(worker, now, next_lease_s) if next_lease_s is not None else None

    def interrupt(self, job: Job, reason: str, now: float, limit: int, delay_s: float) -> None:
        decision = decide(job, Interrupted(job.token, reason, limit, delay_s), now)
        with self._transaction():
            self._write(job, decision, now)
        self._ring(decision)

    def _claim(self, worker: str, now: float, lease_s: float) -> Job | None:
        row = self._execute(_NEXT, {"now": now}).fetchone()
        if row is None or row[1]:
            # A retry may have become due; it goes by priority and age like all others.
            if not self._execute(_PROMOTE, (now,)).rowcount and row is None:
                return None
            row = self._execute(_NEXT, {"now": now}).fetchone()
            if row is None:
                return None
        job = job_of(row[2:])
        if job.spec.stop_on_success and self._is_stopped(job.spec.batch):
            self._stop_first = job.spec.batch
            return None
        self._seqs = {job.job_id: row[0]}
        return self._write(job, decide(job, Claimed(worker, now + lease_s), now), now).job

    # --- batches that have found what they looked for ---------------------------------------

    def _is_stopped(self, batch: str) -> bool:
        return bool(self._execute("SELECT 1 FROM stopped WHERE batch = ?", (batch,)).fetchone())

    def _finish_stop(self, batch: str, now: float) -> int:
        """Cancel what is left of a batch; whoever comes to it next does, if this is cut off.

        The batch is gone through once, between the transactions, as it may be large. What comes to
        it meanwhile is cancelled when its turn comes.

        Returns:
            How many whole seconds that took: a lease that follows must not begin before them.
        """
        began = time.monotonic()
        [(reason,)] = self.query("SELECT reason FROM stopped WHERE batch = ?", batch)
        last = 0
        while left := self.query(_LIVE_OF_BATCH, batch, last, CHANGES):
            last = left[-1][0]
            decisions = []
            with self._transaction():
                for _, job_id in left:
                    job = self._find(job_id)
                    if job is None or job.status.is_final or job.spec.batch != batch:
                        continue  # it has moved on since it was found
                    decisions.append(self._write(job, decide(job, Cancelled(reason), now), now))
            for decision in decisions:
                self._ring(decision)
        with self._transaction():
            self._execute("UPDATE stopped SET done = 1 WHERE batch = ?", (batch,))
        return int(time.monotonic() - began)

    # --- a user's calls ---------------------------------------------------------------------

    def cancel(self, job_id: str, now: float) -> Job:
        return self._change(job_id, Cancelled(), now)

    def retry(self, job_id: str, now: float) -> Job:
        return self._change(job_id, RetryAsked(), now)

    def cancel_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        return self._change_many(job_ids, Cancelled(), now)

    def retry_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        return self._change_many(job_ids, RetryAsked(), now)

    def _change_many(self, job_ids: Sequence[str], event: Event, now: float) -> list[Job]:
        changed = []
        remaining = iter(job_ids)
        while chunk := list(islice(remaining, CHANGES)):
            decisions = []
            with self._transaction():
                for job_id in chunk:
                    try:
                        decisions.append(self._apply(job_id, event, now))
                    except NotAllowed:
                        continue  # it has moved on since it was named
            for decision in decisions:
                self._ring(decision)
                changed.append(decision.job)
        return changed

    def _change(self, job_id: str, event: Event, now: float) -> Job:
        with self._transaction():
            if self._find(job_id) is None:
                raise JobNotFound(f"there is no job {job_id!r}", "'shoal status' lists them")
            decision = self._apply(job_id, event, now)
        self._ring(decision)
        return decision.job

    def pause(self) -> None:
        with self._transaction():
            self._execute("INSERT OR IGNORE INTO flag VALUES ('paused')")
        self._bells.ring_watchers()

    def resume(self) -> None:
        with self._transaction():
            self._execute("DELETE FROM flag WHERE name = 'paused'")
        self._bells.ring_workers(None)

    # --- repair -----------------------------------------------------------------------------

    def reap(self, is_lost: Callable[[str], bool], now: float, limit: int) -> list[Job]:
        for (batch,) in self.query("SELECT batch FROM stopped WHERE NOT done"):
            self._finish_stop(batch, now)
        with self._reading():
            rows = self._execute(
                f"{SELECT} WHERE status = 'Started' ORDER BY lease_until"
            ).fetchall()
        reaped = []
        lost: dict[str, bool] = {}
        for job in map(job_of, rows):
            assert isinstance(job.state, Started)
            worker = job.state.lease.worker
            if worker not in lost:
                lost[worker] = is_lost(worker)
            if lost[worker]:
                reason = f"worker {worker} is gone"
            elif job.state.lease.until <= now:
                reason = f"worker {worker} let the lease expire"
            else:
                continue
            decision = decide(job, Interrupted(job.token, reason, limit), now)
            with self._transaction():
                if self._find(job.job_id) != job:
                    continue  # it was settled or renewed while we looked, which is better still
                self._write(job, decision, now)
            self._ring(decision)
            reaped.append(decision.job)
        return reaped

    # --- results ----------------------------------------------------------------------------

    def record_results(self, job: Job, results: dict[str, str]) -> None:
        with self._transaction(synced=True):
            row = self._execute(f"SELECT seq FROM job{_GUARD}", guard(job)).fetchone()
            if row is None:
                _refuse(job)
            self._connection.executemany(
                f"INSERT INTO result VALUES ({KEY}, ?, ?)"
                " ON CONFLICT DO UPDATE SET seq = excluded.seq",
                [(os.fsencode(key), version, row[0]) for key, version in results.items()],
            )

    def refuse(self, key: str, version: str, reason: str, now: float) -> None:
        with self._transaction(synced=True):
            if self.starts_no_job(key, version):
                return  # it was refused before
            self._execute(
                "INSERT INTO settlement(seq, run, status, reason, settled_at, spec)"
                " VALUES (NULL, 0, 'Failed', ?, ?, ?)",
                (reason, now, refused_json(key)),
            )
            self._disarm(key, version)
        self._bells.ring_watchers()

    def disarm(self, key: str, version: str) -> None:
        with self._transaction(synced=True):
            self._disarm(key, version)

    def _disarm(self, key: str, version: str) -> None:
        self._execute(
            f"INSERT OR REPLACE INTO result VALUES ({KEY}, ?, NULL)", (os.fsencode(key), version)
        )

    # --- for the audit ----------------------------------------------------------------------

    def settle_again(self, row: tuple[Any, ...]) -> None:
        """Put a run that is over on its queue, when it is not there (the row as for `_SETTLE`)."""
        with self._transaction():
            self._execute(_SETTLE, row)
        self._bells.ring_watchers()

    # --- pieces -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, synced: bool = False) -> Iterator[None]:
        """One write transaction; `synced` puts it on disk whatever this store's own setting."""
        switch = synced and not self._synced
        try:
            if switch:
                self._execute("PRAGMA synchronous = FULL")
            try:
                self._take_turn()
                self._execute("BEGIN IMMEDIATE")
                yield
                self._commit()
            except BaseException:
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
                raise
            finally:
                fcntl.flock(self._turn, fcntl.LOCK_UN)
                if switch:
                    self._execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise schema.readable_error(error, self.path) from error

    def _take_turn(self) -> None:
        """Wait for the others' transactions in steps that fit their length.

        SQLite alone waits a millisecond at least for what takes a tenth of one. When a turn does
        not come (its holder was stopped, say), the waiting is left to SQLite, which ends it.
        """
        for _ in range(TURN_TRIES):
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(TURN_STEP_S)

    def _commit(self) -> None:
        """The only place where a change becomes true; tests end the process around it."""
        self._execute("COMMIT")

    def _seq(self, job_id: str) -> int:
        """The row of a job; kept from the claim on, as each claim is followed by a report."""
        seq = self._seqs.get(job_id)
        if seq is None:
            seq = self._execute("SELECT seq FROM job WHERE job_id = ?", (job_id,)).fetchone()[0]
        return seq

    def _apply(self, job_id: str, event: Event, now: float) -> Decision:
        job = self._find(job_id)
        return self._write(job, decide(job, event, now), now)

    def _write(self, old: Job | None, decision: Decision, now: float) -> Decision:
        """Write a decision, on the condition that the job is still the one it was made on."""
        job = decision.job
        if job is old:
            return decision
        if old is None:
            self._execute(_INSERT, (job.spec.job_id, *run_row(job), *state_row(job)))
        else:
            if job.run != old.run:
                change = self._execute(_UPDATE_RUN, (*run_row(job), *state_row(job), *guard(old)))
            else:
                change = self._execute(_UPDATE_STATE, (*state_row(job), *guard(old)))
            if change.rowcount != 1:
                _refuse(old)
            for effect in decision.effects:
                if isinstance(effect, Record):
                    self._execute(_RECORD, (self._seq(job.job_id), *attempt_row(effect.attempt)))
                elif isinstance(effect, StopBatch):
                    self._execute(_STOP, (effect.batch, effect.reason))
                elif isinstance(effect, Settle):
                    self._execute(
                        _SETTLE,
                        (
                            self._seq(job.job_id),
                            effect.run,
                            effect.status.value,
                            effect.reason,
                            now,
                            spec_json(effect.spec),
                        ),
                    )
        return decision

    def _ring(self, decision: Decision) -> None:
        """The effects that reach other processes: wake those whom the change concerns.

        Enqueueing needs no effect of its own here: a Queued row is the queue's entry.
        """
        for effect in decision.effects:
            if isinstance(effect, StopAttempt):
                self._bells.ring_worker(effect.worker)
        if isinstance(decision.job.state, Queued):
            self._bells.ring_workers(1)
        self._bells.ring_watchers()


def _refuse(job: Job) -> NoReturn:
    raise StaleToken(
        f"job {job.job_id!r} is no longer {job.status} with token {job.token}",
        "drop the change; the job is in other hands or over",
    )
