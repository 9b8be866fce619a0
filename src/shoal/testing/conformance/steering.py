"""What users change: cancel, retry, pause and resume."""

from __future__ import annotations

import pytest

from shoal.core.errors import JobNotFound, NotAllowed, StaleToken
from shoal.core.job import Attempt, Ending, Finished, Queued, Status, Token
from shoal.ports import Backlog, JobStore, SubmitReport
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    LEASE_S,
    NOW,
    MakeStore,
    StoreTests,
    claim,
    settle,
    snapshot,
    start,
    submission,
    submit,
)
from shoal.testing.conformance.submitting import bring_to


class Steering(StoreTests):
    """Tests of `cancel`, `retry`, `pause` and `resume`."""

    # --- cancel -----------------------------------------------------------------------------

    def test_a_cancelled_job_is_not_claimed(self, store: JobStore) -> None:
        """A queued job that is cancelled is over, on record, and given to nobody."""
        submit(store, "a")
        job = store.cancel("a", NOW + 5)
        assert job.state == Finished(Status.CANCELLED, "cancelled", None, NOW + 5)
        assert store.job("a") == job
        assert store.claim("w1", NOW + 5, LEASE_S) is None
        assert [line.status for line in store.settlements(0, 10)] == [Status.CANCELLED]
        assert store.attempts("a") == []

    def test_cancelling_ends_the_attempt(self, store: JobStore) -> None:
        """A started job that is cancelled is over at once, and its worker's renewal refused."""
        job = start(store, "a")
        assert store.cancel("a", NOW + 5).status is Status.CANCELLED
        assert store.attempts("a") == [
            Attempt(1, 1, "w1", NOW, NOW + 5, Ending.CANCELLED, None, "cancelled")
        ]
        with pytest.raises(StaleToken):
            store.renew(job, NOW + 6, LEASE_S)

    def test_many_are_cancelled_and_retried_at_once(self, store: JobStore) -> None:
        """Of many jobs those that can be are cancelled, or queued again; the others stay."""
        start(store, "over")
        store.settle(store.job("over"), GOOD, NOW, 0.0, None)
        names = ["over", *(f"job-{number}" for number in range(self.many))]
        submit(store, *names[1:])
        started = store.claim("w1", NOW, LEASE_S)
        assert started is not None
        cancelled = store.cancel_many(names, NOW + 1)
        assert [job.job_id for job in cancelled] == names[1:]
        assert store.cancel_many(names, NOW + 2) == []
        assert len(store.settlements(0, 2 * self.many)) == self.many + 1
        with pytest.raises(StaleToken):
            store.renew(started, NOW + 2, LEASE_S)
        queued = store.retry_many(names, NOW + 3)
        assert [(job.job_id, job.run) for job in queued] == [(name, 2) for name in names[1:]]
        assert store.job("over").status is Status.SUCCESSFUL
        assert store.backlog(NOW + 3, 2 * self.many).ready == self.many

    def test_of_many_unknown_and_repeated_ids_are_passed_over(self, store: JobStore) -> None:
        """An id that names no job, or comes twice, is no error among many."""
        submit(store, "a", "b")
        names = ["a", "nobody", "a", "\udcff", "b"]
        assert [job.job_id for job in store.cancel_many(names, NOW)] == ["a", "b"]
        assert [job.job_id for job in store.retry_many(names, NOW)] == ["a", "b"]
        assert [job.run for job in store.jobs()] == [2, 2]
        assert store.cancel_many([], NOW) == store.retry_many([], NOW) == []

    def test_a_job_that_backs_off_can_be_cancelled(self, store: JobStore) -> None:
        """A job that waits for its retry is Cancelled like any other, and never ready again."""
        store.settle(start(store, "a", retry=1), BAD, NOW, 10.0, None)
        assert store.cancel("a", NOW + 1).status is Status.CANCELLED
        assert store.backlog(NOW + 20, 10).is_empty
        assert store.claim("w1", NOW + 20, LEASE_S) is None

    @pytest.mark.parametrize("status", [Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED])
    def test_a_finished_job_can_not_be_cancelled(self, store: JobStore, status: Status) -> None:
        """Cancelling what is over is an error that says so, and changes nothing."""
        bring_to(store, "a", status)
        before = snapshot(store)
        with pytest.raises(NotAllowed, match=f"'a' is {status}"):
            store.cancel("a", NOW + 5)
        assert snapshot(store) == before

    # --- retry ------------------------------------------------------------------------------

    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    def test_retry_starts_a_new_run(self, store: JobStore, status: Status) -> None:
        """A failed or cancelled job that is retried is its next run, with counters from zero."""
        bring_to(store, "a", status)
        job = store.retry("a", NOW + 5)
        assert (job.state, job.token, job.submitted_at) == (Queued(), Token(2, 0), NOW + 5)
        assert (job.failures, job.interruptions) == (0, 0)
        assert store.job("a") == job
        settle(store, claim(store, now=NOW + 5), GOOD)
        assert [line.run for line in store.settlements(0, 10)] == [1, 2]

    @pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTED, Status.SUCCESSFUL])
    def test_only_what_did_not_succeed_is_retried(self, store: JobStore, status: Status) -> None:
        """Retrying a live or a successful job is an error that says so, and changes nothing."""
        bring_to(store, "a", status)
        before = snapshot(store)
        with pytest.raises(NotAllowed, match=f"'a' is {status}"):
            store.retry("a", NOW + 5)
        assert snapshot(store) == before

    def test_a_late_delivery_does_not_disturb_a_retry(self, store: JobStore) -> None:
        """The submission of a job that was retried is still recognised when it comes again."""
        bring_to(store, "a", Status.FAILED)
        store.retry("a", NOW)
        settle(store, claim(store), GOOD)
        assert store.submit([submission("a")], NOW) == SubmitReport(0, 1)
        assert store.job("a").token == Token(2, 1)

    @pytest.mark.parametrize("job_id", ["nobody", "no*", "", "\udcff", "a\0b"], ids=ascii)
    def test_a_job_that_is_not_there_is_a_named_error(self, store: JobStore, job_id: str) -> None:
        """Looking up, cancelling or retrying an unknown id, whatever it holds, is JobNotFound."""
        submit(store, "a")
        with pytest.raises(JobNotFound):
            store.job(job_id)
        with pytest.raises(JobNotFound):
            store.cancel(job_id, NOW)
        with pytest.raises(JobNotFound):
            store.retry(job_id, NOW)

    # --- pause ------------------------------------------------------------------------------

    def test_nothing_is_claimed_during_a_pause(self, make_store: MakeStore) -> None:
        """A pause holds for all workers, until it is ended by anyone."""
        store, other = make_store("jobs"), make_store("jobs")
        submit(store, "a")
        store.pause()
        assert other.is_paused()
        assert other.claim("w1", NOW, LEASE_S) is None
        other.resume()
        assert not store.is_paused()
        assert claim(store).job_id == "a"

    def test_pausing_twice_is_pausing_once(self, store: JobStore) -> None:
        """Pause and resume say how it is to be, not by how much."""
        store.resume()
        store.pause()
        store.pause()
        store.resume()
        assert not store.is_paused()

    def test_what_runs_goes_on_during_a_pause(self, store: JobStore) -> None:
        """A started job is renewed and settled during a pause, but the next one is not claimed."""
        submit(store, "a", "b")
        job = claim(store)
        store.pause()
        job = store.renew(job, NOW + 1, LEASE_S)
        assert store.settle(job, GOOD, NOW + 2, 0.0, LEASE_S) is None
        assert store.job("a").status is Status.SUCCESSFUL
        assert store.job("b").status is Status.QUEUED

    def test_a_pause_accepts_jobs(self, store: JobStore) -> None:
        """Jobs submitted during a pause wait for its end."""
        store.pause()
        submit(store, "a")
        assert store.job("a").status is Status.QUEUED
        store.resume()
        assert claim(store).job_id == "a"

    def test_nothing_is_ready_during_a_pause(self, store: JobStore) -> None:
        """The backlog of a pause has no ready jobs, so that no worker is wanted for them."""
        submit(store, "a", "b")
        claim(store)
        store.pause()
        assert store.backlog(NOW, 10) == Backlog(0, 1, None, held=1)
