"""Fencing: whatever took a job away from a worker, its late reports are refused, change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shoal.core.errors import StaleToken
from shoal.core.job import Job, Status
from shoal.ports import JobStore
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    LEASE_S,
    LIMIT,
    NOW,
    StoreTests,
    claim,
    settle,
    snapshot,
    start,
    submission,
    submit,
)

Take = Callable[[JobStore, Job], object]


def _reclaim(store: JobStore, job: Job) -> None:
    store.reap(lambda worker: True, NOW, LIMIT)
    claim(store, "w2")


def _reclaim_as_same_worker(store: JobStore, job: Job) -> None:
    store.interrupt(job, "trouble", NOW, LIMIT, 0.0)
    claim(store, "w1")


WAYS_TO_LOSE_IT: dict[str, Take] = {
    "reaped": lambda store, job: store.reap(lambda worker: True, NOW, LIMIT),
    "expired": lambda store, job: store.reap(lambda worker: False, NOW + 2 * LEASE_S, LIMIT),
    "with another worker": _reclaim,
    "a later attempt": _reclaim_as_same_worker,
    "given back": lambda store, job: store.interrupt(job, "trouble", NOW, LIMIT, 0.0),
    "over the limit": lambda store, job: store.interrupt(job, "trouble", NOW, 0, 0.0),
    "settled": lambda store, job: settle(store, job, GOOD),
    "to be retried": lambda store, job: settle(store, job, BAD),
    "cancelled": lambda store, job: store.cancel("a", NOW),
    "replaced": lambda store, job: store.submit(
        [submission("a", "another", commands=["false"], retry=1)], NOW
    ),
}

LATE_REPORTS: dict[str, Take] = {
    "renew": lambda store, job: store.renew(job, NOW, LEASE_S),
    "success": lambda store, job: store.settle(job, GOOD, NOW, 0.0, None),
    "failure": lambda store, job: store.settle(job, BAD, NOW, 0.0, None),
    "success, and the next": lambda store, job: store.settle(job, GOOD, NOW, 0.0, LEASE_S),
    "interrupt": lambda store, job: store.interrupt(job, "trouble", NOW, LIMIT, 0.0),
    "results": lambda store, job: store.record_results(job, {"f/out": "1"}),
}

EARLY_REPORTS = {name: report for name, report in LATE_REPORTS.items() if name != "results"}


class Staleness(StoreTests):
    """Tests of the fencing token."""

    @pytest.mark.parametrize("report", LATE_REPORTS.values(), ids=LATE_REPORTS)
    @pytest.mark.parametrize("lose", WAYS_TO_LOSE_IT.values(), ids=WAYS_TO_LOSE_IT)
    def test_a_late_report_changes_nothing(self, store: JobStore, lose: Take, report: Take) -> None:
        """A report with a token that is no longer the job's is refused, and nothing is claimed."""
        job = start(store, "a", retry=1)
        lose(store, job)
        submit(store, "waiting")
        before = snapshot(store)
        with pytest.raises(StaleToken):
            report(store, job)
        assert snapshot(store) == before
        assert not store.starts_no_job("f/out", "1")

    @pytest.mark.parametrize("report", EARLY_REPORTS.values(), ids=EARLY_REPORTS)
    def test_reports_of_a_queued_job_are_refused(self, store: JobStore, report: Take) -> None:
        """A report for a job that nobody has claimed is refused: there is nothing to report."""
        submit(store, "a")
        before = snapshot(store)
        with pytest.raises(StaleToken):
            report(store, store.job("a"))
        assert snapshot(store) == before

    def test_a_lost_worker_can_not_undo_its_successor(self, store: JobStore) -> None:
        """When a worker thought lost reports failure, the success of the next one stands."""
        old = start(store, "a")
        _reclaim(store, old)
        settle(store, store.job("a"), GOOD)
        with pytest.raises(StaleToken):
            settle(store, old, BAD)
        assert store.job("a").status is Status.SUCCESSFUL
        assert len(store.settlements(0, 10)) == 1

    def test_a_stale_report_says_which_job_and_token(self, store: JobStore) -> None:
        """The refusal names the job and the token that is not its own any more."""
        job = start(store, "a/run.sh")
        store.cancel("a/run.sh", NOW)
        with pytest.raises(StaleToken, match=r"'a/run\.sh'.* 1\.1"):
            settle(store, job)
