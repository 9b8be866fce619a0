"""The SQLite file: its tables, its version, and how a connection to it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shoal.core.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreNewer

BUSY_S = 30.0
"""How long to wait for others' transactions, each of which takes milliseconds."""

ROOM_BYTES = 1 << 16
"""A disk with less room than this is full: SQLite's shared index alone grows by half of it."""

CHECKPOINT_PAGES = 10_000
"""The log is folded into the database every 40 MB: seldom enough to cost little a job."""

SCHEMA_1 = """
CREATE TABLE job(
    seq INTEGER PRIMARY KEY,        -- order of first submission
    job_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    not_before REAL NOT NULL,       -- Queued: 0 is ready, else a time to wait for
    submitted_at REAL NOT NULL,
    deliveries TEXT NOT NULL,       -- a line each, the newest first
    batch TEXT,                     -- NULL: it came alone
    worker TEXT,                    -- Started: the lease
    started_at REAL,
    lease_until REAL,
    finished_at REAL,               -- Successful, Failed, Cancelled
    reason TEXT,
    exit_code INTEGER,
    spec TEXT NOT NULL              -- the job's own JSON
);
-- Small indexes of what is live, so that a claim costs the same beside a million other jobs.
CREATE INDEX job_ready ON job(priority DESC, seq) WHERE status = 'Queued' AND not_before = 0;
CREATE INDEX job_delayed ON job(not_before) WHERE status = 'Queued' AND not_before > 0;
CREATE INDEX job_started ON job(lease_until) WHERE status = 'Started';
CREATE INDEX job_unsuccessful ON job(status) WHERE status IN ('Failed', 'Cancelled');
CREATE INDEX job_again ON job(seq) WHERE status = 'Queued' AND attempt > 0;
-- Its entries never change, and those of a submission stand side by side.
CREATE INDEX job_batch ON job(batch) WHERE batch IS NOT NULL;
-- Attempts that ended. One that runs is on its job's row.
CREATE TABLE attempt(
    seq INTEGER NOT NULL REFERENCES job(seq),
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    ending TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (seq, run, attempt)
) WITHOUT ROWID;
-- The finished and failed queues: a line each run that ended, in that order.
CREATE TABLE settlement(
    cursor INTEGER PRIMARY KEY,
    seq INTEGER REFERENCES job(seq),    -- NULL: refused by intake, so there is no job
    run INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    settled_at REAL NOT NULL,
    spec TEXT NOT NULL
);
-- Objects that start no job in this version: staged out by one, refused, or submitted by hand.
CREATE TABLE result(
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    seq INTEGER REFERENCES job(seq),    -- the job that staged it out
    PRIMARY KEY (key, version)
) WITHOUT ROWID;
CREATE TABLE flag(name TEXT PRIMARY KEY) WITHOUT ROWID;
-- Small facts beside the jobs; of a pipeline, how far its jobs were passed on.
CREATE TABLE note(
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (topic, key)
) WITHOUT ROWID;
-- Batches of which one job was all that was wanted, and whether their other jobs are cancelled.
CREATE TABLE stopped(batch TEXT PRIMARY KEY, reason TEXT NOT NULL, done INTEGER NOT NULL)
    WITHOUT ROWID;
-- For people: the table's attributes under the names users know.
CREATE VIEW job_monitoring AS SELECT
    job_id, status AS Status,
    -- in the spec it is text, as in the original, and SQLite takes any text for the larger
    min(failures, CAST(json_extract(spec, '$.retry') AS INTEGER)) || ' of '
        || json_extract(spec, '$.retry') AS Retries,
    json_extract(spec, '$.ssm_document') AS SSM_Document,
    json_extract(spec, '$.commands') AS Commands,
    worker AS instance_id, run, attempt, interruptions, reason, exit_code
FROM job;
"""

MIGRATIONS: tuple[str, ...] = (SCHEMA_1,)
"""Entry n takes a file from version n to n + 1."""

VERSION = len(MIGRATIONS)


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the store's file in WAL mode, brought to the current version.

    Args:
        path: the file.
        create: make it when it is missing; else that is an error.

    Raises:
        StoreError: it can't be opened, with what to do about it.
    """
    with readable_errors(path):
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            cached_statements=256,
            check_same_thread=False,
        )
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found != VERSION:
                _migrate(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        except BaseException:
            connection.close()
            raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        connection.execute("ROLLBACK")
        raise StoreNewer(
            f"{path} has schema version {found}, made by a newer Shoal; this one knows {VERSION}",
            "upgrade Shoal",
        )
    for script in MIGRATIONS[found:]:
        for statement in script.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


DAMAGE = (
    *("no such table", "no such column", "has no column named"),
    *("malformed JSON", "Could not decode to UTF-8"),
)
"""What SQLite says of a file that it finds sound, but that does not hold what we wrote."""

DAMAGED_REMEDY = (
    "stop 'shoal up' and run 'shoal doctor --fix': it saves what can be read into a new file"
    " and keeps the old one"
)


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; what is not foreseen stays what it is."""
    try:
        yield
    except sqlite3.Error as error:
        raise readable_error(error, path) from error
    except UnicodeDecodeError as error:  # of the message that tells of a damaged schema
        raise StoreDamaged(f"{path} is damaged ({error.reason})", DAMAGED_REMEDY) from error


def _is_full(path: Path) -> bool:
    """Whether a file's disk is full: what SQLite maps into memory then fails in other words."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < ROOM_BYTES


def readable_error(error: sqlite3.Error, path: Path) -> Exception:
    """Our error for one of SQLite's; the same error when it is a defect of ours."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL") or (name.startswith("SQLITE_IOERR") and _is_full(path)):
        return StoreFull(f"no room left to write {path}", "free some disk space; nothing is lost")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(
            f"{path} was locked by others for {BUSY_S:g} s",
            "try again; 'shoal workers' shows who works on it",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or any(
        words in str(error) for words in DAMAGE
    ):
        return StoreDamaged(f"{path} is damaged ({error})", DAMAGED_REMEDY)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return StoreError(f"{path} can't be opened for writing ({error})", "check its permissions")
    if name.startswith("SQLITE_IOERR"):
        return StoreError(f"{path} can't be read or written ({error})", "check the disk it is on")
    return error
