"""Reading: lists, counts, and the stream of settlements."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.core.job import Status
from shoal.core.spec import parse_job
from shoal.ports import JobStore
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    NOW,
    MakeStore,
    StoreTests,
    claim,
    settle,
    snapshot,
    submission,
    submit,
)

IDS = (
    "job1", "job2", "job10", "Job1", "job[1]", "job]", "job!", "job^", "job-",
    "open[1", "a*b", "axb", "a/b/run.sh", "a%b", "a_b", "a\\b", "é", "🐟", "two\u2028lines",
)  # fmt: skip

PATTERNS: dict[str, set[str]] = {
    "*": set(IDS),
    "job1": {"job1"},
    "job?": {"job1", "job2", "job]", "job!", "job^", "job-"},
    "job*1*": {"job1", "job10", "job[1]"},
    "job[12]": {"job1", "job2"},
    "job[0-9]": {"job1", "job2"},
    "job[!0-9]": {"job]", "job!", "job^", "job-"},
    "job[^0-9]": {"job]", "job!", "job^", "job-"},
    "job[!12]": {"job]", "job!", "job^", "job-"},
    "job[]!]": {"job]", "job!"},
    "job[!]]": {"job1", "job2", "job!", "job^", "job-"},
    "job[1!^]": {"job1", "job!", "job^"},
    "job[[]1]": {"job[1]"},
    "job[1": set(),
    "job[1]": {"job1"},
    "open[1": {"open[1"},
    "open[": set(),
    "a[*]b": {"a*b"},
    "a?b": {"a*b", "axb", "a%b", "a_b", "a\\b"},
    "a%b": {"a%b"},
    "a_b": {"a_b"},
    "a\\*": {"a\\b"},
    "a*run.sh": {"a/b/run.sh"},
    "?": {"é", "🐟"},
    "two?lines": {"two\u2028lines"},
    "JOB1": set(),
    "": set(),
    "nobody": set(),
    "\udcff*": set(),
}
"""A glob as in a shell, with the jobs it means: letters differ from capitals, `/` is no border."""


class Reading(StoreTests):
    """Tests of `jobs`, `counts` and `settlements`."""

    def listed(self, store: JobStore, *query: Any) -> list[str]:
        """The ids that a query lists."""
        return [job.job_id for job in store.jobs(*query)]

    @pytest.fixture
    def varied(self, store: JobStore) -> JobStore:
        """A store with a job of every status, submitted in the order of the alphabet."""
        submit(store, "a successful", "b failed", "c started")
        settle(store, claim(store), GOOD)
        settle(store, claim(store), BAD)
        claim(store)
        submit(store, "d queued", "e cancelled", "f queued", now=NOW + 1)
        store.cancel("e cancelled", NOW + 1)
        return store

    # --- jobs -------------------------------------------------------------------------------

    def test_the_newest_come_first(self, varied: JobStore) -> None:
        """Jobs are listed from the one submitted last to the one submitted first."""
        newest = ["f queued", "e cancelled", "d queued", "c started", "b failed", "a successful"]
        assert self.listed(varied) == newest
        assert varied.jobs()[3] == varied.job("c started")

    def test_a_list_may_be_cut(self, varied: JobStore) -> None:
        """A limit keeps the newest."""
        assert self.listed(varied, None, (), 2) == ["f queued", "e cancelled"]
        assert self.listed(varied, None, (), 0) == []
        assert len(self.listed(varied, None, (), 100)) == 6

    def test_a_list_may_be_of_some_statuses(self, varied: JobStore) -> None:
        """Only jobs in one of the statuses asked for are listed; none asked for means all."""
        assert self.listed(varied, None, [Status.QUEUED]) == ["f queued", "d queued"]
        assert self.listed(varied, None, [Status.FAILED, Status.STARTED]) == [
            "c started",
            "b failed",
        ]

    def test_all_filters_hold_together(self, varied: JobStore) -> None:
        """A pattern, statuses and a limit are all applied, the limit last."""
        assert self.listed(varied, "[a-e]*", [Status.QUEUED, Status.FAILED], 1) == ["d queued"]

    @pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
    def test_a_pattern_is_a_glob(self, store: JobStore, pattern: str) -> None:
        """A pattern means the jobs it would mean as file names in a shell."""
        submit(store, *IDS)
        assert set(self.listed(store, pattern)) == PATTERNS[pattern]

    # --- counts -----------------------------------------------------------------------------

    def test_counts_of_nothing(self, store: JobStore) -> None:
        """Every status is counted, also when there is no job."""
        assert store.counts().by_status == dict.fromkeys(Status, 0)

    def test_counts_by_status(self, varied: JobStore) -> None:
        """Jobs are counted by what they are now."""
        counts = varied.counts()
        assert counts.by_status == {
            Status.QUEUED: 2,
            Status.STARTED: 1,
            Status.SUCCESSFUL: 1,
            Status.FAILED: 1,
            Status.CANCELLED: 1,
        }
        assert (counts.live, counts.total) == (3, 6)

    def test_a_job_that_backs_off_counts_as_queued(self, store: JobStore) -> None:
        """A job that waits for its retry is Queued in the counts too."""
        submit(store, "a", retry=1)
        store.settle(claim(store), BAD, NOW, 10.0, None)
        assert store.counts().by_status[Status.QUEUED] == store.counts().total == 1

    # --- settlements ------------------------------------------------------------------------

    def test_runs_are_settled_once_and_in_order(self, store: JobStore) -> None:
        """Each run that ended is on the stream once, in the order they did, with its own JSON."""
        submit(store, "a", "b", "c", tags={"lot": "7"})
        first, second = claim(store), claim(store)
        settle(store, second, BAD, NOW + 1)
        store.cancel("c", NOW + 2)
        settle(store, first, GOOD, NOW + 3)
        lines = store.settlements(0, 100)
        assert [(line.job_id, line.status, line.settled_at) for line in lines] == [
            ("b", Status.FAILED, NOW + 1),
            ("c", Status.CANCELLED, NOW + 2),
            ("a", Status.SUCCESSFUL, NOW + 3),
        ]
        assert [parse_job(line.job) for line in lines] == [
            submission(job_id, tags={"lot": "7"}).spec for job_id in ("b", "c", "a")
        ]

    def test_the_stream_is_read_on_from_a_cursor(self, store: JobStore) -> None:
        """Whoever reads on from the last cursor gets every settlement once, at any page size."""
        job_ids = [f"job {number}" for number in range(10)]
        submit(store, *job_ids)
        for job_id in job_ids:
            settle(store, claim(store))
            assert store.settlements(0, 100)[-1].job_id == job_id
        whole = store.settlements(0, 100)
        cursors = [line.cursor for line in whole]
        assert cursors == sorted(set(cursors))
        for size in (1, 3, 10):
            seen, after = [], 0
            while page := store.settlements(after, size):
                assert len(page) <= size
                seen += page
                after = page[-1].cursor
            assert seen == whole

    def test_the_stream_goes_on_after_its_end(self, store: JobStore) -> None:
        """A cursor at the end gives nothing until another run has ended."""
        submit(store, "a", "b")
        settle(store, claim(store))
        [first] = store.settlements(0, 100)
        assert store.settlements(first.cursor, 100) == store.settlements(10**20, 100) == []
        settle(store, claim(store))
        [second] = store.settlements(first.cursor, 100)
        assert second.job_id == "b"

    def test_a_settlement_keeps_the_job_as_it_ran(self, store: JobStore) -> None:
        """A settlement carries the spec of the run it is about, whatever the job becomes later."""
        submit(store, "a")
        settle(store, claim(store))
        store.submit([submission("a", "another", commands=["false"])], NOW)
        settle(store, claim(store), BAD)
        first, second = store.settlements(0, 10)
        assert (first.run, parse_job(first.job).commands) == (1, ("true",))
        assert (second.run, parse_job(second.job).commands) == (2, ("false",))

    def test_all_handles_see_the_same(self, make_store: MakeStore, varied: JobStore) -> None:
        """What one handle wrote, another one reads, also when the first is closed, even twice."""
        other = make_store("jobs")
        seen = snapshot(varied)
        assert snapshot(other) == seen
        varied.close()
        varied.close()
        assert snapshot(other) == seen
