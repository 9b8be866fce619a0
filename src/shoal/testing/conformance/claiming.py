"""Claims and leases: who gets which job, when, and for how long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from shoal.core.job import Lease, Started, Status, Token
from shoal.ports import Backlog, JobStore
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


def lease_of(store: JobStore, job_id: str) -> Lease:
    """The lease of a started job."""
    state = store.job(job_id).state
    assert isinstance(state, Started)
    return state.lease


class Claiming(StoreTests):
    """Tests of `claim`, `renew` and `backlog`."""

    def test_an_empty_queue_gives_nothing(self, store: JobStore) -> None:
        """A claim on a store without jobs is None."""
        assert store.claim("w1", NOW, LEASE_S) is None

    def test_a_claim_starts_the_job_under_a_lease(self, store: JobStore) -> None:
        """A claimed job is Started, its attempt counted, and leased to the worker until a time."""
        submit(store, "a")
        job = claim(store, "w1", NOW + 5)
        assert job.state == Started(Lease("w1", NOW + 5, NOW + 5 + LEASE_S))
        assert job.token == Token(1, 1)
        assert store.job("a") == job

    def test_a_job_is_claimed_once(self, store: JobStore) -> None:
        """A job that one worker has claimed is not given to another."""
        submit(store, "a")
        claim(store, "w1")
        assert store.claim("w2", NOW + 10 * LEASE_S, LEASE_S) is None

    def test_the_oldest_goes_first(self, store: JobStore) -> None:
        """Jobs of equal priority are claimed in the order they were submitted."""
        submit(store, "c", "a")
        submit(store, "b", now=NOW + 1)
        assert [claim(store, now=NOW + 1).job_id for _ in range(3)] == ["c", "a", "b"]

    def test_the_highest_priority_goes_first(self, store: JobStore) -> None:
        """Priority comes before age, and may be negative."""
        for job_id, priority in (("low", -1), ("none", 0), ("high", 10), ("also high", 10)):
            submit(store, job_id, priority=priority)
        claimed = [claim(store).job_id for _ in range(4)]
        assert claimed == ["high", "also high", "none", "low"]

    def test_a_job_that_backs_off_waits(self, store: JobStore) -> None:
        """A failed job with retries left can't be claimed before its back-off is over."""
        job = start(store, "a", retry=1)
        store.settle(job, BAD, NOW, 10.0, None)
        assert store.job("a").status is Status.QUEUED
        assert store.claim("w1", NOW + 9.9, LEASE_S) is None
        assert claim(store, "w1", NOW + 10).token == Token(1, 2)

    def test_a_job_that_backs_off_holds_up_no_other(self, store: JobStore) -> None:
        """Jobs of lower priority are claimed while a higher one backs off, and after it then."""
        job = start(store, "high", retry=1, priority=9)
        store.settle(job, BAD, NOW, 10.0, None)
        submit(store, "low 1", "low 2")
        assert claim(store).job_id == "low 1"
        assert claim(store, now=NOW + 11).job_id == "high"
        assert claim(store, now=NOW + 11).job_id == "low 2"

    def test_renewing_keeps_the_job_for_longer(self, store: JobStore) -> None:
        """A renewed lease ends later; token, owner and start stay what they were."""
        job = start(store, "a")
        renewed = store.renew(job, NOW + 20, LEASE_S)
        assert renewed.state == Started(Lease("w1", NOW, NOW + 20 + LEASE_S))
        assert renewed.token == job.token
        assert store.job("a") == renewed

    def test_renewing_never_shortens_a_lease(self, store: JobStore) -> None:
        """A renewal that would end the lease earlier (the clock was set back) leaves it."""
        job = start(store, "a")
        renewed = store.renew(job, NOW - 100, LEASE_S)
        assert renewed.state == job.state
        assert lease_of(store, "a").until == NOW + LEASE_S

    def test_a_late_renewal_counts_until_somebody_reaped(self, store: JobStore) -> None:
        """The owner may renew, and settle, after its lease ran out if nobody took the job."""
        job = start(store, "a")
        renewed = store.renew(job, NOW + 2 * LEASE_S, LEASE_S)
        assert store.reap(lambda worker: False, NOW + 2 * LEASE_S, LIMIT) == []
        settle(store, renewed, now=NOW + 10 * LEASE_S)
        assert store.job("a").status is Status.SUCCESSFUL

    def test_workers_that_race_share_out_the_jobs(self, make_store: MakeStore) -> None:
        """However many workers claim at the same time, each job goes to just one of them."""
        job_ids = {f"job {number}" for number in range(120)}
        submit(make_store("jobs"), *sorted(job_ids))

        def work(worker: str) -> list[str]:
            store = make_store("jobs")
            done = []
            job = store.claim(worker, NOW, LEASE_S)
            while job is not None:
                done.append(job.job_id)
                job = store.settle(job, GOOD, NOW, 0.0, LEASE_S)
            return done

        workers = [f"w{number}" for number in range(4)]
        with ThreadPoolExecutor(len(workers)) as pool:
            claimed = [job_id for done in pool.map(work, workers) for job_id in done]
        assert len(claimed) == len(job_ids)
        assert set(claimed) == job_ids
        assert len(make_store("jobs").settlements(0, 1000)) == len(job_ids)

    def test_the_backlog_tells_what_could_run(self, store: JobStore) -> None:
        """The backlog counts ready and started jobs, and tells when the next becomes ready."""
        assert store.backlog(NOW, 100).is_empty
        for job_id, wait_s in (("soon", 10.0), ("later", 20.0)):
            store.settle(start(store, job_id, retry=1), BAD, NOW, wait_s, None)
        submit(store, "a", "b", "c")
        claim(store)
        assert store.backlog(NOW, 100) == Backlog(2, 1, NOW + 10)
        assert store.backlog(NOW + 10, 100) == Backlog(3, 1, NOW + 20)
        assert store.backlog(NOW + 20, 100) == Backlog(4, 1, None)
        assert not store.backlog(NOW, 100).is_empty

    def test_the_backlog_counts_up_to_a_limit(self, store: JobStore) -> None:
        """The backlog says no more than `at_most`, however many jobs are ready."""
        store.settle(start(store, "again", retry=1), BAD, NOW, 10.0, None)
        store.submit([submission(f"job {number}") for number in range(20)], NOW)
        assert store.backlog(NOW + 10, 5).ready == 5
        assert store.backlog(NOW + 10, 100).ready == 21

    def test_a_paused_queue_is_not_empty(self, store: JobStore) -> None:
        """What a pause holds back is still there: whoever waits for the end must go on waiting."""
        submit(store, "a", "b")
        store.pause()
        backlog = store.backlog(NOW, 100)
        assert (backlog.ready, backlog.held, backlog.is_empty) == (0, 2, False)
        store.cancel_many(["a", "b"], NOW)
        assert store.backlog(NOW, 100).is_empty

    def test_only_a_queue_with_nothing_to_come_is_empty(self, store: JobStore) -> None:
        """A backlog with a job that backs off, or one that runs, is not empty."""
        job = start(store, "a", retry=1)
        assert not store.backlog(NOW, 1).is_empty
        store.settle(job, BAD, NOW, 10.0, None)
        assert not store.backlog(NOW, 1).is_empty
        settle(store, claim(store, now=NOW + 10))
        assert store.backlog(NOW + 10, 1).is_empty
