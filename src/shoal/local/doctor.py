"""The audit of a local environment: what was submitted is queued, started or over, exactly once,
and nothing is left lying about by what is gone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from shoal.client_ports import Account, Finding
from shoal.core.errors import EnvironmentBusy, SpecError
from shoal.core.intake import plan_job
from shoal.core.spec import refused_json, stored_spec
from shoal.job_folder import problem_with
from shoal.local import processes, schema
from shoal.local.bells import IDLE, STOP, Bells
from shoal.local.bucket import LocalBucket, remove_tree
from shoal.local.fleet import LocalFleet, is_locked
from shoal.local.layout import Layout
from shoal.local.store import SqliteStore
from shoal.local.watch import FolderWatch
from shoal.ports import Found, Submission
from shoal.settings import Settings

SALVAGED_TABLES = ("job", "attempt", "settlement", "result", "flag", "stopped", "note")

MISSING = "the store was damaged: lines before this one may be missing"

_NUMBER_ON = (
    "INSERT INTO settlement SELECT noted.cursor + 1, NULL, 0, 'Failed', ?, ?, ?"
    " FROM (SELECT max(CAST(value AS INTEGER)) AS cursor FROM note WHERE key LIKE '% cursor') noted"
    " WHERE noted.cursor > (SELECT coalesce(max(cursor), 0) FROM settlement)"
)
"""Lets the lines to come have numbers of their own, where the last lines could not be saved: who
has noted how far they were read would take new ones for read."""


class LocalDoctor:
    """A `client_ports.Doctor`.

    Args:
        layout, settings, store, bucket, fleet: of the environment.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        store: SqliteStore,
        bucket: LocalBucket,
        fleet: LocalFleet,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._store = store
        self._bucket = bucket
        self._fleet = fleet

    def account(self) -> Account:
        counts = self._store.counts().by_status
        submitted = self._number("SELECT coalesce(sum(run), 0) FROM job")
        ended = {
            status: self._number(
                "SELECT count(*) FROM settlement WHERE seq IS NOT NULL AND status = ?", status
            )
            for status in ("Successful", "Failed", "Cancelled")
        }
        live = (counts[status] for status in counts if not status.is_final)
        return Account(submitted, *ended.values(), *live)

    def examine(self) -> Iterator[Finding]:
        yield from self._damages()
        yield from self._lost_and_doubled()
        yield from self._orphaned_jobs()
        yield from self._orphaned_processes()
        yield from self._executables_waiting()
        yield from self._leftovers()

    def _damages(self) -> Iterator[Finding]:
        for (said,) in self._store.query("PRAGMA quick_check(10)"):
            if said != "ok":
                yield Finding("damaged", f"{self._layout.database}: {said}", schema.DAMAGED_REMEDY)

    def _lost_and_doubled(self) -> Iterator[Finding]:
        unsettled = self._store.query(
            "SELECT job.seq, job_id, run, status, reason, finished_at, spec FROM job"
            " WHERE status IN ('Successful', 'Failed', 'Cancelled') AND NOT EXISTS"
            " (SELECT 1 FROM settlement s WHERE s.seq = job.seq AND s.run = job.run)"
        )
        for seq, job_id, run, *rest in unsettled:
            yield Finding(
                "lost",
                f"job {job_id!r} run {run} is over, but is on no queue",
                "'shoal doctor --fix' puts it there",
                lambda row=(seq, run, *rest): self._store.settle_again(row),  # type: ignore[misc]
            )
        doubled = self._store.query(
            "SELECT job_id, settlement.run, count(*) FROM settlement JOIN job USING (seq)"
            " GROUP BY seq, settlement.run HAVING count(*) > 1"
        )
        for job_id, run, number in doubled:
            yield Finding(
                "doubled",
                f"job {job_id!r} run {run} was settled {number} times",
                "this is a defect of Shoal: please report it with the database file",
            )

    def _orphaned_jobs(self) -> Iterator[Finding]:
        now = time.time()
        rows = self._store.query(
            "SELECT job_id, worker, lease_until FROM job WHERE status = 'Started'"
        )
        for job_id, worker, lease_until in rows:
            if not is_locked(self._layout.workers / f"{worker}.lock"):
                what = f"job {job_id!r} is Started on {worker}, which is gone"
            elif lease_until <= now:
                what = f"job {job_id!r} is Started on {worker}, which let the lease expire"
            else:
                continue
            remedy = "'shoal up' or 'shoal doctor --fix' queues it again"
            yield Finding("orphaned", what, remedy, self._reap)

    def _reap(self) -> None:
        self._store.reap(self._fleet.reclaim, time.time(), self._settings.max_interruptions)

    def _orphaned_processes(self) -> Iterator[Finding]:
        alive = {worker.worker for worker in self._fleet.workers()}
        for worker, pids in processes.find_attempts_in(str(self._layout.root)).items():
            if worker not in alive:
                yield Finding(
                    "orphaned",
                    f"processes {', '.join(map(str, pids))} were started by {worker},"
                    " which is gone",
                    "'shoal up' or 'shoal doctor --fix' ends them",
                    lambda worker=worker: self._fleet.reclaim(worker),  # type: ignore[misc]
                )

    def _executables_waiting(self) -> Iterator[Finding]:
        if is_locked(self._layout.supervisor_lock):
            return  # it is about to take them in
        settings = self._settings
        watch = FolderWatch(
            str(self._layout.root), settings.intake_rules, settings.upload_quiet_s, listen=False
        )
        for found in watch.take(time.time()):
            if self._store.starts_no_job(found.key, found.version) or self._is_known(found):
                continue
            if problem_with(str(self._layout.root / found.key)) is None:
                yield Finding(
                    "waiting",
                    f"executable {found.key!r} is in the bucket, but no job",
                    "'shoal up' takes it in, and so does 'shoal doctor --fix'",
                    lambda found=found: self._take_in(found),  # type: ignore[misc]
                )

    def _is_known(self, found: Found) -> bool:
        query = "SELECT deliveries FROM job WHERE job_id = CAST(? AS TEXT)"
        rows = self._store.query(query, os.fsencode(found.key))
        return any(found.version in deliveries.split("\n") for (deliveries,) in rows)

    def _take_in(self, found: Found) -> None:
        try:
            spec = plan_job(found.key, self._settings.intake_rules)
        except SpecError as refused:
            self._store.refuse(found.key, found.version, str(refused), time.time())
        else:
            self._store.submit([Submission(spec, found.version)], time.time())

    def _leftovers(self) -> Iterator[Finding]:
        alive = {worker.worker for worker in self._fleet.workers()}
        remains = [
            *(path for path in self._layout.work.iterdir() if path.name.split(".")[0] not in alive),
            *(path for path in self._layout.workers.glob("*.lock") if path.stem not in alive),
            *(
                path
                for kind in (IDLE, STOP)
                for path in (self._layout.bells / kind).glob("*")
                if path.name not in alive
            ),
        ]
        for path in remains:
            yield Finding(
                "leftover",
                f"{path} was left behind by a worker that is gone",
                "'shoal doctor --fix' removes it",
                lambda path=path: _remove(path),  # type: ignore[misc]
            )

    def _number(self, query: str, *values: object) -> int:
        return int(self._store.query(query, *values)[0][0])


def salvage(layout: Layout) -> tuple[Path, int]:
    """Move a damaged store aside and save what can be read of it into a new one.

    Returns:
        Where the damaged file is now, and how many jobs were saved.

    Raises:
        EnvironmentBusy: somebody still works on it.
    """
    if is_locked(layout.supervisor_lock) or LocalFleet(layout).workers():
        raise EnvironmentBusy(
            f"{layout.root} is in use", "stop 'shoal up' and its workers, then try again"
        )
    aside = layout.database.with_name(f"damaged-{time.strftime('%Y%m%d-%H%M%S')}.db")
    for suffix in ("", "-wal", "-shm"):
        source = Path(f"{layout.database}{suffix}")
        if source.exists():
            shutil.move(source, f"{aside}{suffix}")
    SqliteStore(layout.database, Bells(layout.bells)).close()
    target = schema.connect(layout.database, create=False)
    try:
        target.execute("BEGIN")
        for table in SALVAGED_TABLES:
            for row in _readable_rows(aside, table):
                if table == "job" and not _is_job(row):
                    continue
                places = ", ".join("?" * len(row))
                target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", row)
        target.execute(_NUMBER_ON, (MISSING, time.time(), refused_json(aside.name)))
        target.execute("COMMIT")
        saved = int(target.execute("SELECT count(*) FROM job").fetchone()[0])
    finally:
        target.close()
    return aside, saved


def _readable_rows(file: Path, table: str) -> Iterator[tuple[object, ...]]:
    """The rows from the beginning, then from the end, each up to where reading fails."""
    for order in ("", " ORDER BY 1 DESC"):
        try:
            source = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)
            try:
                yield from source.execute(f"SELECT * FROM {table}{order}")
                return
            finally:
                source.close()
        except sqlite3.DatabaseError:
            continue  # what lies behind can't be read from this side


def _is_job(row: tuple[object, ...]) -> bool:
    try:
        stored_spec(str(row[-1]))
    except ValueError:
        return False
    return row[2] in ("Queued", "Started", "Successful", "Failed", "Cancelled")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
