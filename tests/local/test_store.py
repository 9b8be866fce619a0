"""The SQLite file: how it is made, shared, locked, and what it answers when it can't be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shoal.core.confirm import Outcome
from shoal.core.errors import JobNotFound, StoreBusy, StoreError
from shoal.core.job import Started, Status
from shoal.core.spec import JobSpec
from shoal.local import schema
from shoal.local.bells import Bells
from shoal.local.store import SqliteStore
from shoal.ports import Submission

from .place import DEADLINE_S, Place, wait_until
from .verbs import run_verb

HOLD_LOCKS = """
import fcntl, os, sqlite3, sys, time
turn = os.open(sys.argv[1] + "-turn", os.O_RDWR)
fcntl.flock(turn, fcntl.LOCK_EX)
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(1000)
"""
"""Holds all that a writer of the store holds, and does not let go."""


def open_store(path: Path, *, create: bool = True, synced: bool = True) -> SqliteStore:
    return SqliteStore(path, Bells(path.parent / "bells"), create=create, synced=synced)


def submit(store: SqliteStore, job_id: str) -> None:
    store.submit([Submission(JobSpec(job_id, commands=("echo",)), f"delivery of {job_id}")], 1.0)


@pytest.fixture
def holder(place: Place) -> subprocess.Popen[str]:
    """A process that holds the store's locks; ended with the place."""
    place.submit({"job_id": "a", "commands": ["echo"]})
    holder = place.start_process([sys.executable, "-c", HOLD_LOCKS, str(place.layout.database)])
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_missing_file_is_made_only_when_asked_for(tmp_path: Path) -> None:
    """Opening a store that is not there is an error with its path, unless it is to be made."""
    path = tmp_path / "shoal.db"
    with pytest.raises(StoreError, match=f"{path} can't be opened"):
        open_store(path, create=False)
    assert list(tmp_path.iterdir()) == []
    open_store(path).close()
    open_store(path, create=False).close()


def test_paths_are_taken_literally(tmp_path: Path) -> None:
    """Question marks, percent signs and the like in a path are part of its name."""
    folder = tmp_path / "50% off?mode=memory#x '\" ünï"
    folder.mkdir()
    store = open_store(folder / "shoal.db")
    submit(store, "a")
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == ["shoal.db", "shoal.db-turn"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_file_has_a_version_and_a_log(tmp_path: Path) -> None:
    """The schema's version is in the file from the first day, and so is the write-ahead log."""
    open_store(tmp_path / "shoal.db").close()
    connection = sqlite3.connect(tmp_path / "shoal.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_many_can_make_it_at_once(tmp_path: Path) -> None:
    """Processes that submit to a new folder at the same moment are all served."""
    command = [sys.executable, "-P", "-m", "shoal.cli.main", "submit", "--command", "echo"]
    processes = [
        subprocess.Popen(
            [*command, "-e", str(tmp_path / "new"), "--id", f"job-{number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for process in processes:
        _, complained = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, complained
    store = open_store(tmp_path / "new/.shoal/shoal.db", create=False)
    assert store.counts().by_status[Status.QUEUED] == 6
    store.close()


def test_readers_do_not_wait_for_a_writer(place: Place, holder: subprocess.Popen[str]) -> None:
    """While somebody holds the store for writing, it can be read."""
    for verb in (("status",), ("status", "a"), ("events",), ("workers",)):
        assert run_verb(place, *verb).code == 0
    assert holder.poll() is None


def test_a_writer_gives_up_with_the_remedy(
    place: Place, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that can't be made because others hold the store is an error, and is not made."""
    monkeypatch.setattr(schema, "BUSY_S", 0.05)
    said = run_verb(place, "cancel", "a")
    assert said.code == 3
    assert "was locked by others for 0.05 s" in said.err
    assert "try again" in said.err
    store = open_store(place.layout.database)
    with pytest.raises(StoreBusy):
        submit(store, "b")
    holder.kill()
    holder.wait()
    submit(store, "b")  # the same store goes on when the lock is free
    store.close()
    assert place.statuses() == {"a": Status.QUEUED, "b": Status.QUEUED}


def test_a_killed_writer_leaves_no_lock(place: Place, holder: subprocess.Popen[str]) -> None:
    """When a writer is killed in a transaction, the next one gets its turn."""
    holder.kill()
    holder.wait()
    assert run_verb(place, "cancel", "a").code == 0


def test_a_stopped_writer_does_not_stop_the_others(place: Place) -> None:
    """A process that is stopped while it has its turn costs the others time, not their changes."""
    place.submit({"job_id": "a", "commands": ["echo"]})
    keep_turn = HOLD_LOCKS.replace('connection.execute("BEGIN IMMEDIATE")', "pass")
    stopped = place.start_process([sys.executable, "-c", keep_turn, str(place.layout.database)])
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "held\n"
    os.kill(stopped.pid, signal.SIGSTOP)
    assert run_verb(place, "cancel", "a").code == 0
    assert place.job("a").status == Status.CANCELLED


def test_the_table_has_the_names_users_know(place: Place) -> None:
    """People who look into the file find the original's attributes under their names."""
    place.submit({"job_id": "a", "commands": ["echo hi", "false"], "retry": "2"})
    place.work()
    connection = sqlite3.connect(place.layout.database)
    cursor = connection.execute("SELECT * FROM job_monitoring")
    row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
    connection.close()
    assert row == {
        "job_id": "a",
        "Status": "Failed",
        "Retries": "2 of 2",
        "SSM_Document": "AWS-RunShellScript",
        "Commands": '["echo hi","false"]',
        "instance_id": None,
        "run": 1,
        "attempt": 3,
        "interruptions": 0,
        "reason": "exit code 1, last output: hi",
        "exit_code": 1,
    }


def test_a_store_moved_with_its_folder_works(place: Place, tmp_path: Path) -> None:
    """An environment at rest can be moved: results, logs and jobs are all there."""
    place.put("job/run.sh", "echo hello; echo 'echo again' > made.sh")
    place.up()
    place.root.rename(tmp_path / "moved")
    moved = Place.__new__(Place)
    moved.__dict__.update(place.__dict__, root=tmp_path / "moved")
    moved.layout = type(place.layout)(moved.root)
    moved.up()
    assert moved.statuses() == {"job/run.sh": Status.SUCCESSFUL}
    assert moved.output("job/run.sh") == "hello\n"


def test_looking_up_what_is_not_there(tmp_path: Path) -> None:
    """An id that names no job is a named error, in every call that takes one."""
    store = open_store(tmp_path / "shoal.db")
    for call in (
        store.job,
        lambda name: store.cancel(name, 1.0),
        lambda name: store.retry(name, 1.0),
    ):
        with pytest.raises(JobNotFound, match="'no such job'"):
            call("no such job")
    assert store.attempts("no such job") == []
    assert store.results("no such job") == []
    store.close()


def test_closing_folds_the_log_into_the_file(place: Place) -> None:
    """When nobody works on an environment, its database is one file that can be copied."""
    place.submit({"job_id": "a", "commands": ["echo"]})
    place.work()
    wait_until(lambda: not list(place.layout.own.glob("shoal.db-wal")))


def test_the_winner_of_a_large_batch_takes_its_next_job_with_a_whole_lease(tmp_path: Path) -> None:
    """Cancelling the rest takes its time, which is none of the next job's: others would take it."""
    store = open_store(tmp_path / "shoal.db", synced=False)
    rest = (
        JobSpec(f"{number}", commands=("echo",), batch="hunt", stop_on_success=True)
        for number in range(40_000)
    )
    store.submit((Submission(spec, spec.job_id) for spec in rest), 1.0)
    winner = store.claim("w", 1.0, 60.0)
    assert winner is not None
    store.submit([Submission(JobSpec("urgent", commands=("echo",), priority=1), "urgent")], 1.0)
    began = time.monotonic()
    following = store.settle(winner, Outcome(True, "confirmed", 0), 1.0, 0.0, 60.0)
    took_s = time.monotonic() - began
    assert following is not None
    assert following.job_id == "urgent"
    assert isinstance(following.state, Started)
    assert following.state.lease.until >= 60.0 + took_s
    assert store.counts("hunt").by_status[Status.CANCELLED] == 39_999
    store.close()
