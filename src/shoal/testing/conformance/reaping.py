"""Reaping: jobs of lost workers and of expired leases go back to the queue, and no others."""

from __future__ import annotations

from shoal.core.job import Ending, Status, Token
from shoal.ports import JobStore
from shoal.testing.conformance.base import (
    LEASE_S,
    LIMIT,
    NOW,
    MakeStore,
    StoreTests,
    claim,
    settle,
    start,
    submit,
)


def nobody(worker: str) -> bool:
    """No worker is lost."""
    return False


class Reaping(StoreTests):
    """Tests of `reap`."""

    def test_jobs_of_living_workers_stay(self, store: JobStore) -> None:
        """A job whose worker is there and whose lease lasts is left alone."""
        job = start(store, "a")
        assert store.reap(nobody, NOW + LEASE_S - 1, LIMIT) == []
        assert store.job("a") == job

    def test_jobs_of_a_lost_worker_are_requeued(self, store: JobStore) -> None:
        """A job of a worker that is gone is Queued at once, as an interruption."""
        submit(store, "a", "b")
        claim(store, "lost")
        claim(store, "alive")
        [reaped] = store.reap(lambda worker: worker == "lost", NOW + 1, LIMIT)
        assert reaped == store.job("a")
        assert (reaped.status, reaped.failures, reaped.interruptions) == (Status.QUEUED, 0, 1)
        assert store.job("b").status is Status.STARTED
        [attempt] = store.attempts("a")
        assert (attempt.worker, attempt.ending) == ("lost", Ending.INTERRUPTED)
        assert "lost" in attempt.reason
        assert claim(store, "alive", NOW + 1).token == Token(1, 2)

    def test_expired_leases_are_requeued(self, store: JobStore) -> None:
        """A job whose lease ran out is Queued although nobody knows its worker to be gone."""
        start(store, "a")
        [reaped] = store.reap(nobody, NOW + LEASE_S, LIMIT)
        assert (reaped.job_id, reaped.status, reaped.interruptions) == ("a", Status.QUEUED, 1)
        [attempt] = store.attempts("a")
        assert "lease" in attempt.reason

    def test_reaping_twice_is_reaping_once(self, store: JobStore) -> None:
        """What was reaped is not reaped again."""
        start(store, "a")
        assert len(store.reap(lambda worker: True, NOW, LIMIT)) == 1
        assert store.reap(lambda worker: True, NOW, LIMIT) == []
        assert store.job("a").interruptions == 1

    def test_a_job_that_loses_every_worker_fails(self, store: JobStore) -> None:
        """Reaped more often than the limit, a job is Failed, and reported as written."""
        submit(store, "a", retry=9)
        for _ in range(LIMIT):
            claim(store)
            store.reap(lambda worker: True, NOW, LIMIT)
        claim(store)
        [reaped] = store.reap(lambda worker: True, NOW, LIMIT)
        assert (reaped.status, reaped.failures) == (Status.FAILED, 0)
        assert [line.status for line in store.settlements(0, 10)] == [Status.FAILED]

    def test_each_worker_is_looked_at_once(self, store: JobStore) -> None:
        """To find out about a worker may be slow, so it is asked once, whatever it had claimed."""
        submit(store, "a", "b", "c")
        for worker in ("w1", "w1", "w2"):
            claim(store, worker)
        asked: list[str] = []

        def is_lost(worker: str) -> bool:
            asked.append(worker)
            return True

        assert len(store.reap(is_lost, NOW, LIMIT)) == 3
        assert sorted(asked) == ["w1", "w2"]

    def test_a_job_settled_meanwhile_is_left(self, make_store: MakeStore) -> None:
        """A job that its worker settles while its loss is looked into stays settled."""
        store, other = make_store("jobs"), make_store("jobs")
        job = start(store, "a")

        def is_lost(worker: str) -> bool:
            settle(other, job)
            return True

        assert store.reap(is_lost, NOW, LIMIT) == []
        assert store.job("a").status is Status.SUCCESSFUL
        assert len(store.attempts("a")) == len(store.settlements(0, 10)) == 1

    def test_a_lease_renewed_meanwhile_counts(self, make_store: MakeStore) -> None:
        """A worker that renews an expired lease before the reaper gets to it keeps its job."""
        store, other = make_store("jobs"), make_store("jobs")
        job = start(store, "a")

        def is_lost(worker: str) -> bool:
            other.renew(job, NOW + 2 * LEASE_S, LEASE_S)
            return False

        assert store.reap(is_lost, NOW + 2 * LEASE_S, LIMIT) == []
        assert store.job("a").status is Status.STARTED
        assert store.attempts("a") == []
