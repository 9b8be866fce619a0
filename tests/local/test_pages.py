"""Pages of jobs take their time in small pieces, whatever is asked for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from shoal.core.job import Status
from shoal.core.spec import JobSpec
from shoal.local.bells import Bells
from shoal.local.pages import FIRST_WINDOW, WAYS, read_page
from shoal.local.store import SqliteStore
from shoal.ports import Order, Query, Submission

JOBS = 2 * FIRST_WINDOW + 1


@pytest.fixture(scope="module")
def cancelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of many jobs of one batch, all cancelled."""
    folder = tmp_path_factory.mktemp("cancelled")
    store = SqliteStore(folder / "shoal.db", Bells(folder / "bells"), synced=False)
    ids = [f"{number}" for number in range(JOBS)]
    specs = (JobSpec(job_id, commands=("true",), batch="b") for job_id in ids)
    store.submit((Submission(spec, spec.job_id) for spec in specs), 1.0)
    store.cancel_many(ids, 2.0)
    store.close()
    return store.path


@pytest.mark.parametrize("order", WAYS)
@pytest.mark.parametrize(
    "query",
    [
        Query("*none*", (Status.CANCELLED,)),
        Query("*none*", (), "b"),
        Query(None, (Status.SUCCESSFUL,), "b"),
        Query(None, (Status.CANCELLED,), "b"),
        Query(None, (Status.CANCELLED,), "none"),
    ],
)
def test_no_look_is_at_all_jobs(cancelled: Path, query: Query, order: Order) -> None:
    """Each statement looks at a window of the jobs, and none sorts all that a batch holds."""
    connection = sqlite3.connect(cancelled)
    windows = []

    def execute(sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        if "ORDER BY" in sql and "OFFSET" not in sql:
            plan = str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
            assert "TEMP B-TREE" not in plan or query.batch == "none", sql
            windows.append(values[:2])
        return connection.execute(sql, values)

    page = read_page(execute, query._replace(order=order), None, 10)
    connection.close()
    assert len(page.jobs) == (10 if query == Query(None, (Status.CANCELLED,), "b") else 0)
    for begin, end in windows[:1]:
        if isinstance(begin, int) and isinstance(end, int):
            assert abs(begin - end) <= FIRST_WINDOW
