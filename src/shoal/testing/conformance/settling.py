"""Settling: what becomes of a job when its attempt ended, and what is written about it."""

from __future__ import annotations

import pytest

from shoal.core.job import Attempt, Ending, Finished, Queued, Status, Token
from shoal.ports import JobStore
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    HOPELESS,
    LEASE_S,
    LIMIT,
    NOW,
    StoreTests,
    claim,
    settle,
    start,
    submission,
    submit,
)


class Settling(StoreTests):
    """Tests of `settle`, `interrupt` and `attempts`."""

    def test_a_confirmed_attempt_makes_the_job_successful(self, store: JobStore) -> None:
        """A confirmed attempt ends the run as Successful, with reason, exit code and time."""
        job = start(store, "a")
        settle(store, job, GOOD, NOW + 7)
        assert store.job("a").state == Finished(Status.SUCCESSFUL, "confirmed", 0, NOW + 7)
        assert store.attempts("a") == [
            Attempt(1, 1, "w1", NOW, NOW + 7, Ending.SUCCESSFUL, 0, "confirmed")
        ]
        [line] = store.settlements(0, 10)
        assert (line.job_id, line.run, line.status) == ("a", 1, Status.SUCCESSFUL)
        assert line.settled_at == NOW + 7

    def test_an_attempt_without_retries_left_fails_the_job(self, store: JobStore) -> None:
        """An attempt not confirmed ends a run without retries as Failed, with the reason."""
        settle(store, start(store, "a"), BAD, NOW + 7)
        job = store.job("a")
        assert job.state == Finished(Status.FAILED, "exit code 3", 3, NOW + 7)
        assert job.failures == 1
        [line] = store.settlements(0, 10)
        assert (line.run, line.status, line.reason) == (1, Status.FAILED, "exit code 3")

    def test_retry_is_how_often_it_runs_again(self, store: JobStore) -> None:
        """A job of retry 2 that always fails runs three times, and is settled once."""
        submit(store, "a", retry=2)
        for attempt in (1, 2, 3):
            assert store.settlements(0, 10) == []
            job = claim(store)
            assert job.token == Token(1, attempt)
            settle(store, job, BAD)
        assert store.job("a").status is Status.FAILED
        assert store.job("a").retries == "2 of 2"
        assert [line.status for line in store.settlements(0, 10)] == [Status.FAILED]
        assert [attempt.ending for attempt in store.attempts("a")] == [Ending.FAILED] * 3

    def test_a_retry_may_succeed(self, store: JobStore) -> None:
        """A job that fails once and succeeds then is Successful, with both attempts on record."""
        submit(store, "a", retry=3)
        settle(store, claim(store, "w1"), BAD)
        settle(store, claim(store, "w2"), GOOD)
        job = store.job("a")
        assert (job.status, job.failures, job.retries) == (Status.SUCCESSFUL, 1, "1 of 3")
        endings = [(attempt.worker, attempt.ending) for attempt in store.attempts("a")]
        assert endings == [("w1", Ending.FAILED), ("w2", Ending.SUCCESSFUL)]

    def test_a_failure_that_no_retry_helps_is_final(self, store: JobStore) -> None:
        """An attempt which can only fail the same way again fails the job despite its retries."""
        settle(store, start(store, "a", retry=5), HOPELESS)
        assert store.job("a").status is Status.FAILED
        assert store.job("a").failures == 1

    def test_settling_may_claim_the_next_job(self, store: JobStore) -> None:
        """Settling with a lease for it gives the worker its next job in the same step."""
        submit(store, "a", "b")
        following = store.settle(claim(store, "w1"), GOOD, NOW + 7, 0.0, LEASE_S)
        assert following == store.job("b")
        assert following is not None
        assert following.token == Token(1, 1)
        assert store.settle(following, GOOD, NOW + 8, 0.0, LEASE_S) is None

    def test_settling_claims_nothing_unless_asked(self, store: JobStore) -> None:
        """Settling without a lease for the next job leaves the queue alone."""
        submit(store, "a", "b")
        assert store.settle(claim(store), GOOD, NOW, 0.0, None) is None
        assert store.job("b").status is Status.QUEUED

    def test_the_next_job_may_be_the_same(self, store: JobStore) -> None:
        """A retry without back-off can be the next job, as a new attempt."""
        following = store.settle(start(store, "a", retry=1), BAD, NOW, 0.0, LEASE_S)
        assert following is not None
        assert (following.job_id, following.token) == ("a", Token(1, 2))

    def test_the_next_job_is_not_one_that_backs_off(self, store: JobStore) -> None:
        """A retry with back-off is not claimed with the settlement of its own failure."""
        assert store.settle(start(store, "a", retry=1), BAD, NOW, 5.0, LEASE_S) is None

    def test_a_renewed_job_settles_as_well_as_a_claimed_one(self, store: JobStore) -> None:
        """Whichever copy of a job its worker still has, the token is what counts."""
        job = start(store, "a")
        store.renew(job, NOW + 20, LEASE_S)
        settle(store, job)
        assert store.job("a").status is Status.SUCCESSFUL

    def test_an_interruption_uses_up_no_retry(self, store: JobStore) -> None:
        """A job given back is Queued again, with an interruption counted and no failure."""
        store.interrupt(start(store, "a"), "disk full", NOW + 7, LIMIT, 0.0)
        job = store.job("a")
        assert (job.state, job.failures, job.interruptions) == (Queued(), 0, 1)
        [attempt] = store.attempts("a")
        assert (attempt.ending, attempt.reason) == (Ending.INTERRUPTED, "disk full")
        assert attempt.ended_at == NOW + 7
        assert store.settlements(0, 10) == []
        assert claim(store).token == Token(1, 2)

    def test_an_interrupted_job_waits_as_long_as_told(self, store: JobStore) -> None:
        """A job given back with a delay can't be claimed before that."""
        store.interrupt(start(store, "a"), "disk full", NOW, LIMIT, 30.0)
        assert store.claim("w1", NOW + 29, LEASE_S) is None
        assert claim(store, now=NOW + 30).job_id == "a"

    def test_too_many_interruptions_fail_the_job(self, store: JobStore) -> None:
        """A job interrupted more often than the limit is Failed, with the last reason."""
        submit(store, "a", retry=1)
        for _ in range(LIMIT):
            store.interrupt(claim(store), "worker is gone", NOW, LIMIT, 0.0)
            assert store.job("a").status is Status.QUEUED
        store.interrupt(claim(store), "worker is gone again", NOW, LIMIT, 0.0)
        job = store.job("a")
        assert isinstance(job.state, Finished)
        assert (job.status, job.failures, job.interruptions) == (Status.FAILED, 0, LIMIT + 1)
        assert "worker is gone again" in job.state.reason
        assert [line.status for line in store.settlements(0, 10)] == [Status.FAILED]

    def test_failures_and_interruptions_are_counted_apart(self, store: JobStore) -> None:
        """Interruptions between failures leave all retries to the failures."""
        submit(store, "a", retry=1)
        store.interrupt(claim(store), "lost", NOW, LIMIT, 0.0)
        settle(store, claim(store), BAD)
        store.interrupt(claim(store), "lost", NOW, LIMIT, 0.0)
        job = store.job("a")
        assert (job.status, job.failures, job.interruptions) == (Status.QUEUED, 1, 2)
        settle(store, claim(store), BAD)
        assert store.job("a").status is Status.FAILED

    def test_attempts_are_kept_over_all_runs(self, store: JobStore) -> None:
        """The attempts of every run of a job are on record, in order."""
        submit(store, "a", retry=1)
        settle(store, claim(store, "w1"), BAD, NOW + 1)
        store.interrupt(claim(store, "w2", NOW + 2), "lost", NOW + 3, LIMIT, 0.0)
        settle(store, claim(store, "w3", NOW + 4), BAD, NOW + 5)
        store.submit([submission("a", "another")], NOW + 6)
        settle(store, claim(store, "w4", NOW + 7), GOOD, NOW + 8)
        assert store.attempts("a") == [
            Attempt(1, 1, "w1", NOW, NOW + 1, Ending.FAILED, 3, "exit code 3"),
            Attempt(1, 2, "w2", NOW + 2, NOW + 3, Ending.INTERRUPTED, None, "lost"),
            Attempt(1, 3, "w3", NOW + 4, NOW + 5, Ending.FAILED, 3, "exit code 3"),
            Attempt(2, 1, "w4", NOW + 7, NOW + 8, Ending.SUCCESSFUL, 0, "confirmed"),
        ]

    @pytest.mark.parametrize("number", [1, 12])
    def test_attempts_are_in_the_order_they_were_made(self, store: JobStore, number: int) -> None:
        """The tenth attempt comes after the ninth, not after the first."""
        submit(store, "a", retry=number)
        for _ in range(number):
            settle(store, claim(store), BAD)
        assert [attempt.attempt for attempt in store.attempts("a")] == [*range(1, number + 1)]

    def test_an_attempt_under_way_is_not_on_record_yet(self, store: JobStore) -> None:
        """The attempts of a job are those that ended; a job that is not there has none."""
        start(store, "a")
        assert store.attempts("a") == []
        assert store.attempts("nobody") == []
