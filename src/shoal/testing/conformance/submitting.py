"""Submission: what becomes a run, and what is recognised as there already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from shoal.core.errors import StaleToken
from shoal.core.job import Ending, Queued, Status, Token
from shoal.core.spec import JobSpec, parse_job
from shoal.ports import JobStore, Submission, SubmitReport
from shoal.testing.conformance.base import (
    BAD,
    NOW,
    StoreTests,
    claim,
    folder_submission,
    settle,
    snapshot,
    start,
    submission,
    submit,
)
from shoal.testing.strategies import AWKWARD_IDS, specs

FINISHED = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)
LIVE = (Status.QUEUED, Status.STARTED)


def bring_to(store: JobStore, job_id: str, status: Status) -> None:
    """Submit a job and see it through to a status."""
    submit(store, job_id)
    if status is Status.CANCELLED:
        store.cancel(job_id, NOW)
    elif status is not Status.QUEUED:
        job = claim(store)
        if status is Status.SUCCESSFUL:
            settle(store, job)
        elif status is Status.FAILED:
            settle(store, job, BAD)
    assert store.job(job_id).status is status


class Submitting(StoreTests):
    """Tests of `submit`."""

    def test_a_new_job_is_queued(self, store: JobStore) -> None:
        """A job is Queued as run 1 without an attempt once it is submitted."""
        wanted = submission("a", retry=2, priority=7)
        assert store.submit([wanted], NOW) == SubmitReport(1, 0)
        job = store.job("a")
        assert job.state == Queued()
        assert job.token == Token(1, 0)
        assert (job.failures, job.interruptions, job.submitted_at) == (0, 0, NOW)
        assert (job.spec, job.delivery_id) == wanted

    def test_nothing_submitted_is_nothing_accepted(self, store: JobStore) -> None:
        """A submission of no jobs is no error."""
        assert store.submit([], NOW) == SubmitReport(0, 0)
        assert store.counts().total == 0

    @pytest.mark.parametrize("job_id", AWKWARD_IDS, ids=ascii)
    def test_ids_are_data(self, store: JobStore, job_id: str) -> None:
        """Whatever its id holds, a job is found, claimed, settled and listed under just that."""
        job = start(store, job_id)
        settle(store, job)
        assert store.job(job_id).status is Status.SUCCESSFUL
        assert [line.job_id for line in store.settlements(0, 10)] == [job_id]
        assert [attempt.attempt for attempt in store.attempts(job_id)] == [1]

    def test_a_spec_comes_back_as_it_was(self, store: JobStore) -> None:
        """Every field of every valid spec is stored, handed out and reported unchanged."""
        cursor = 0

        @settings(max_examples=50)
        @given(spec=specs())
        def check(spec: JobSpec) -> None:
            nonlocal cursor
            store.submit([Submission(spec, f"delivery {cursor}")], NOW)
            assert store.job(spec.job_id).spec == spec
            assert claim(store).spec == spec
            store.cancel(spec.job_id, NOW)
            [line] = store.settlements(cursor, 10)
            assert parse_job(line.job) == spec
            cursor = line.cursor

        check()

    @pytest.mark.parametrize("status", Status)
    def test_a_delivery_counts_once(self, store: JobStore, status: Status) -> None:
        """The same submission delivered again changes nothing, however late it comes."""
        bring_to(store, "a", status)
        before = snapshot(store)
        assert store.submit([submission("a")], NOW + 5) == SubmitReport(0, 1)
        assert snapshot(store) == before

    @pytest.mark.parametrize("status", Status)
    def test_a_delivery_of_an_earlier_run_counts_once(
        self, store: JobStore, status: Status
    ) -> None:
        """A delivery that led to an earlier run changes nothing when it comes late once more."""
        store.submit([submission("a", "first", commands=["false"])], NOW)
        settle(store, claim(store), BAD)
        bring_to(store, "a", status)
        before = snapshot(store)
        late = submission("a", "first", commands=["false"])
        assert store.submit([late], NOW + 5) == SubmitReport(0, 1)
        assert snapshot(store) == before

    @pytest.mark.parametrize("status", LIVE)
    def test_the_same_content_is_no_news_to_a_live_job(
        self, store: JobStore, status: Status
    ) -> None:
        """A live job submitted anew with the same spec goes on as it is."""
        bring_to(store, "a", status)
        before = snapshot(store)
        assert store.submit([submission("a", "another")], NOW + 5) == SubmitReport(0, 1)
        assert snapshot(store) == before

    @pytest.mark.parametrize("status", FINISHED)
    def test_a_finished_job_submitted_again_runs_again(
        self, store: JobStore, status: Status
    ) -> None:
        """A new delivery of a finished job is its next run, with counters from zero."""
        bring_to(store, "a", status)
        assert store.submit([submission("a", "another")], NOW + 5) == SubmitReport(1, 0)
        job = store.job("a")
        assert (job.state, job.token, job.submitted_at) == (Queued(), Token(2, 0), NOW + 5)
        assert (job.failures, job.interruptions) == (0, 0)
        assert claim(store).token == Token(2, 1)

    def test_new_content_replaces_a_queued_run(self, store: JobStore) -> None:
        """A queued job submitted with new content is the new one; the old run is Cancelled."""
        submit(store, "a")
        new = submission("a", "another", commands=["false"], priority=5)
        assert store.submit([new], NOW + 5) == SubmitReport(1, 0)
        assert store.job("a").token == Token(2, 0)
        [line] = store.settlements(0, 10)
        assert (line.job_id, line.run, line.status) == ("a", 1, Status.CANCELLED)
        assert "replaced" in line.reason
        assert parse_job(line.job) == submission("a").spec
        assert store.attempts("a") == []
        assert claim(store).spec == new.spec

    def test_new_content_replaces_a_started_run(self, store: JobStore) -> None:
        """A started job submitted with new content is queued at once, and its old attempt ended."""
        old = start(store, "a")
        store.submit([submission("a", "another", commands=["false"])], NOW + 5)
        job = claim(store, "w2", NOW + 5)
        assert (job.token, job.spec.commands) == (Token(2, 1), ("false",))
        [attempt] = store.attempts("a")
        assert (attempt.token, attempt.ending) == (Token(1, 1), Ending.CANCELLED)
        with pytest.raises(StaleToken):
            settle(store, old)
        assert store.job("a") == job

    @pytest.mark.parametrize("status", LIVE)
    def test_a_new_version_of_an_executable_is_new_content(
        self, store: JobStore, status: Status
    ) -> None:
        """A job from the bucket is replaced when its executable arrives in another version."""
        store.submit([folder_submission("f/run.sh", "v1")], NOW)
        if status is Status.STARTED:
            claim(store)
        assert store.submit([folder_submission("f/run.sh", "v1")], NOW) == SubmitReport(0, 1)
        assert store.submit([folder_submission("f/run.sh", "v2")], NOW) == SubmitReport(1, 0)
        assert store.job("f/run.sh").token == Token(2, 0)

    def test_the_priority_of_new_content_counts(self, store: JobStore) -> None:
        """A job replaced by one of another priority is claimed by that."""
        submit(store, "a", "b")
        store.submit([submission("b", "another", priority=1)], NOW)
        assert claim(store).job_id == "b"

    def test_bulk_submission_counts_every_job_once(self, store: JobStore) -> None:
        """Among very many submissions in one call, those delivered twice, near or far apart, and
        those that were there before, are one job each."""
        bulk = self.bulk
        early, late = f"job {bulk // 50}", f"job {bulk // 2}"
        submit(store, early, late)

        def deliveries() -> Iterator[Submission]:
            for number in range(bulk):
                yield submission(f"job {number}")
                if number in (bulk // 250, bulk // 5 * 2 - 1):  # at once
                    yield submission(f"job {number}")
                if number in (bulk // 5 * 3, bulk - 1):  # much later
                    yield submission("job 7")

        assert store.submit(deliveries(), NOW + 1) == SubmitReport(bulk - 2, 6)
        assert store.counts().by_status[Status.QUEUED] == store.counts().total == bulk
        assert store.job(f"job {bulk - 1}").submitted_at == NOW + 1
        claimed = [claim(store, now=NOW + 1).job_id for _ in range(5)]
        assert len(set(claimed)) == 5
        if self.exact_order:
            assert claimed == [early, late, "job 0", "job 1", "job 2"]

    def test_bulk_submission_replaces_what_has_changed(self, store: JobStore) -> None:
        """Within one call, later content of a job replaces what came before."""
        many = [submission(f"job {number}") for number in range(50)]
        changed = submission("job 3", "another", commands=["false"])
        assert store.submit([*many, changed], NOW) == SubmitReport(51, 0)
        assert store.job("job 3").spec == changed.spec
        assert [line.job_id for line in store.settlements(0, 10)] == ["job 3"]

    def test_a_source_that_breaks_leaves_whole_jobs(self, store: JobStore) -> None:
        """When the source of submissions fails, its error is passed on and the store goes on."""

        def deliveries() -> Iterator[Submission]:
            yield submission("a")
            raise ValueError("line 2")

        with pytest.raises(ValueError, match="line 2"):
            store.submit(deliveries(), NOW)
        submit(store, "a", "b")
        assert store.counts().by_status[Status.QUEUED] == store.counts().total == 2
        assert {claim(store).job_id, claim(store).job_id} == {"a", "b"}
