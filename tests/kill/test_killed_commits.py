"""A process that is killed just before, or just after, each commit of its store, one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal.local.bells import Bells
from shoal.local.store import SqliteStore

from . import commit_child
from .audit import finish_all, opened, read_consistent
from .commit_child import FIRST, HUNT, TABLES

LATER = 1_000.0


def said(file: Path, key: str) -> list[Any]:
    """What a life has said under a key, until it ended."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line[key] for line in lines if key in line]


def contents(database: Path) -> dict[str, list[list[Any]]]:
    with opened(database) as connection:
        return {
            table: [list(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for table in TABLES
        }


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_kill_beside_any_commit_leaves_all_of_it_or_nothing(tmp_path: Path, side: str) -> None:
    """Beside each commit a kill leaves what was acknowledged, and no half of the commit."""
    subprocess.run([sys.executable, commit_child.__file__, str(tmp_path), side], check=True)
    empty: dict[str, list[list[Any]]] = {table: [] for table in TABLES}
    held = [empty, *said(tmp_path / "0.said", "holds")]
    assert len(held) > 25
    assert (tmp_path / f"{len(held)}.db").exists()
    for fatal in range(1, len(held)):
        database = tmp_path / f"{fatal}.db"
        assert contents(database) == held[fatal - (side == "before")]
        read_consistent(database)
        calls = said(database.with_suffix(".said"), "promised")
        promises = [promise for call in calls for promise in call]
        check_promises(database, promises)
        deliver_again(database)
        finished = finish_all(database)
        assert {spec.job_id for spec, _ in FIRST} <= finished.jobs.keys()
        check_promises(database, promises)
        hunted = [name for name in HUNT if name in finished.jobs]
        ends = [finished.jobs[name].status for name in hunted]
        assert ends.count("Successful") == bool(hunted)
        assert ends.count("Cancelled") == len(hunted) - bool(hunted)


def check_promises(database: Path, promises: list[list[Any]]) -> None:
    with opened(database) as connection:
        for kind, *facts in promises:
            query = {
                "job": "SELECT count(*) FROM job WHERE job_id = ? AND run >= ?",
                "attempt": "SELECT count(*) FROM attempt JOIN job USING (seq) WHERE job_id = ?"
                " AND attempt.run = ? AND attempt.attempt = ? AND ending = ?",
                "settled": "SELECT count(*) FROM settlement JOIN job USING (seq)"
                " WHERE job_id = ? AND settlement.run = ? AND settlement.status = ?",
                "result": "SELECT count(*) FROM result WHERE key = ?",
                "refused": "SELECT count(*) FROM settlement WHERE seq IS NULL AND run = 0"
                " AND json_extract(spec, '$.refused') = ?",
            }[kind]
            assert connection.execute(query, facts).fetchone()[0] == 1, (kind, facts)


def deliver_again(database: Path) -> None:
    """Deliver the first submission once more, as one does that got no answer to it."""
    store = SqliteStore(database, Bells(database.parent / "bells"), synced=False)
    try:
        there = {job.job_id: job.deliveries for job in store.jobs()}
        missing = [one for spec, one in FIRST if one not in there.get(spec.job_id, ())]
        report = store.submit(FIRST, LATER)
        assert report.accepted == len(missing)
        assert report.unchanged == len(FIRST) - len(missing)
        assert store.submit(FIRST, LATER).accepted == 0
    finally:
        store.close()
