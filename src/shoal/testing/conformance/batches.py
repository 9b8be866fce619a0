"""Batches: jobs that were submitted together, and those that are to stop at the first success."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shoal.core.errors import NotAllowed, StaleToken
from shoal.core.job import Ending, Job, Queued, Status
from shoal.ports import Counts, JobStore, Query
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    LEASE_S,
    LIMIT,
    NOW,
    MakeStore,
    StoreTests,
    claim,
    settle,
    start,
    submission,
    submit,
)


def ids(jobs: Sequence[Job]) -> list[str]:
    """Their ids."""
    return [job.job_id for job in jobs]


def counted(**numbers: int) -> Counts:
    """Counts by status, given by lower-case names."""
    return Counts({status: numbers.get(status.lower(), 0) for status in Status})


def hunt(store: JobStore, *job_ids: str, now: float = NOW) -> None:
    """Submit jobs of which one success is enough."""
    submit(store, *job_ids, now=now, batch="hunt", stop_on_success=True)


class Batches(StoreTests):
    """Tests of `batch`, `stop_on_success`, `attempts_of` and `recent`."""

    # --- members ----------------------------------------------------------------------------

    def test_a_batch_has_its_jobs(self, store: JobStore) -> None:
        """Lists and counts of a batch have its jobs, whatever they are now, and no others."""
        submit(store, "alone")
        submit(store, "a1", "a2", "a3", batch="a")
        submit(store, "b1", batch="b é 'x'")
        settle(store, claim(store))
        settle(store, claim(store))
        settle(store, claim(store), BAD)
        assert ids(store.jobs(batch="a")) == ["a3", "a2", "a1"]
        assert ids(store.jobs("a*", [Status.FAILED], None, "a")) == ["a2"]
        assert ids(store.jobs(None, (), 1, "a")) == ["a3"]
        assert ids(store.page(Query(batch="a"), None, 2).jobs) == ["a3", "a2"]
        assert store.counts("a") == counted(queued=1, successful=1, failed=1)
        assert ids(store.jobs(batch="b é 'x'")) == ["b1"]
        for nobody in ("nobody", "", "\udcff"):
            assert store.jobs(batch=nobody) == []
            assert store.page(Query(batch=nobody), None, 2) == ([], None)
            assert store.counts(nobody) == counted()
        assert store.counts().total == 5

    def test_a_job_is_in_the_batch_of_its_last_run(self, store: JobStore) -> None:
        """Submitted again with another batch, it leaves the first; retried, it stays."""
        submit(store, "a", "b", batch="first")
        settle(store, claim(store), BAD)
        settle(store, claim(store), BAD)
        store.submit([submission("a", "again", batch="second")], NOW)
        store.retry("b", NOW)
        assert ids(store.jobs(batch="first")) == ["b"]
        assert ids(store.jobs(batch="second")) == ["a"]
        assert store.counts("first") == store.counts("second") == counted(queued=1)

    def test_a_batch_alone_is_no_new_content(self, store: JobStore) -> None:
        """A job that waits or runs is left as it is when just its batch differs."""
        submit(store, "a", "b", batch="first")
        claim(store)
        report = store.submit(
            [submission(of, f"again {of}", batch="second") for of in ("a", "b")], NOW
        )
        assert report == (0, 2)
        assert store.counts("first").total == 2
        assert store.jobs(batch="second") == []

    # --- stop on success --------------------------------------------------------------------

    def test_the_first_success_cancels_the_rest(self, store: JobStore) -> None:
        """What waits, backs off or runs is cancelled, with the winner as the reason."""
        submit(store, "other")
        settle(store, claim(store))
        hunt(store, "delayed", "running", "winner", "waiting")
        store.submit([submission("delayed", "2", batch="hunt", stop_on_success=True, retry=1)], NOW)
        first = claim(store, "w1")
        assert store.settle(first, BAD, NOW, 100.0, None) is None
        running, winner = claim(store, "w2"), claim(store, "w3")
        submit(store, "another", batch="b")
        following = store.settle(winner, GOOD, NOW + 1, 0.0, LEASE_S)
        assert following is not None
        assert following.job_id == "another"
        assert store.counts("hunt") == counted(successful=1, cancelled=3)
        for job in store.jobs(None, [Status.CANCELLED]):
            assert "'winner' of batch 'hunt' was successful" in job.state.reason  # type: ignore[union-attr]
        assert [of.ending for of in store.attempts("running")] == [Ending.CANCELLED]
        with pytest.raises(StaleToken):
            store.settle(running, GOOD, NOW + 2, 0.0, None)
        settled = [(line.job_id, line.status) for line in store.settlements(0, 100)][-4:]
        assert settled[0] == ("winner", Status.SUCCESSFUL)
        assert {job_id for job_id, _ in settled[1:]} == {"delayed", "running", "waiting"}
        assert store.job("other").status is Status.SUCCESSFUL

    def test_failures_stop_nothing(self, store: JobStore) -> None:
        """Only a success is what the batch was for."""
        hunt(store, "a", "b")
        settle(store, claim(store), BAD)
        assert store.job("b").state == Queued()

    def test_without_the_flag_a_success_stops_nothing(self, store: JobStore) -> None:
        """A batch is just a name, unless its jobs say more."""
        submit(store, "a", "b", batch="hunt")
        settle(store, claim(store))
        assert store.job("b").state == Queued()

    def test_what_comes_late_is_cancelled_too(self, store: JobStore) -> None:
        """Jobs that are submitted or tried again after the success are not run."""
        hunt(store, "a", "b")
        settle(store, claim(store))
        hunt(store, "c", now=NOW + 1)
        store.retry("b", NOW + 1)
        submit(store, "d", now=NOW + 1)
        assert claim(store, now=NOW + 2).job_id == "d"
        assert store.claim("w2", NOW + 2, LEASE_S) is None
        assert store.counts("hunt") == counted(successful=1, cancelled=2)
        with pytest.raises(NotAllowed):
            store.cancel("c", NOW + 3)

    def test_large_batches_stop(self, store: JobStore, make_store: MakeStore) -> None:
        """However many are left, all are cancelled, and each is settled once."""
        hunt(store, *(f"job {number}" for number in range(self.many)))
        store.settle(claim(store), GOOD, NOW, 0.0, LEASE_S)
        other = make_store("jobs")
        assert other.claim("w2", NOW, LEASE_S) is None
        assert other.counts("hunt") == counted(successful=1, cancelled=self.many - 1)
        assert len({line.job_id for line in other.settlements(0, 10 * self.many)}) == self.many

    # --- history ----------------------------------------------------------------------------

    def test_attempts_of_many(self, store: JobStore) -> None:
        """The attempts of many jobs are those of each."""
        settle(store, start(store, "a", retry=2), BAD, NOW + 1)
        settle(store, claim(store), GOOD, NOW + 2)
        settle(store, start(store, "b"), BAD, NOW + 3)
        submit(store, "c")
        assert [of.ended_at for of in store.attempts("a")] == [NOW + 1, NOW + 2]
        jobs = store.jobs()
        assert store.attempts_of(jobs) == {job.job_id: store.attempts(job.job_id) for job in jobs}
        assert store.attempts_of([]) == {}

    def test_what_happened_lately(self, store: JobStore) -> None:
        """First what runs, then what waits for another attempt, then what ended last."""
        for number in range(4):
            settle(store, start(store, f"ended {number}"), now=NOW + number)
        store.interrupt(start(store, "again"), "gone", NOW + 4, LIMIT, 50.0)
        start(store, "runs")
        submit(store, "waits")
        assert ids(store.recent(NOW + 2, 100)) == ["runs", "again", "ended 3", "ended 2"]
        assert ids(store.recent(NOW + 2, 3)) == ["runs", "again", "ended 3"]
        assert ids(store.recent(NOW + 50, 100)) == ["runs", "again"]
