"""A model of the whole life of jobs, to hold against a store: what users, workers, crashes and
late reports do, in any order. After every step the store must say what an observer has seen.

Numbers of invariants are those of the design's section on the life of a job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.core.confirm import Outcome
from shoal.core.errors import NotAllowed, StaleToken
from shoal.core.job import Ending, Job, Queued, Started, Status
from shoal.core.spec import spec_from_dict
from shoal.ports import Backlog, JobStore, Submission, SubmitReport
from shoal.testing.observer import Observed, Observer

LEASE_S = 30.0
LIMIT = 2
JOBS: dict[str, dict[str, Any]] = {
    "a": {"retry": 2},
    "b/run.sh": {"retry": 1, "priority": 1},
    "c": {},
    "d": {"retry": 1},
    "e e": {"retry": 2, "priority": -1},
    "f/run.sh": {"retry": 1, "folder": "f", "executable": "run.sh"},
}
SLOTS = ("w1", "w2", "w3")
VERDICTS = (
    Outcome(True, "confirmed", 0),
    Outcome(False, "exit code 1", 1),
    Outcome(False, "no such interpreter", None, retry_helps=False),
)
RARELY = st.sampled_from([*[False] * 9, True])
WAIT_S = st.sampled_from((0.0, 5.0))


class JobLife(RuleBasedStateMachine):
    """Several workers, users and a clock, on one store.

    Args:
        handles: of one store without jobs; each step uses the next, so that no knowledge can
            hide in a handle. The model closes them.
        exact_order: whether jobs of equal priority are claimed just in their order.
    """

    def __init__(self, *handles: JobStore, exact_order: bool = True) -> None:
        super().__init__()
        self._handles = handles
        self._exact_order = exact_order
        self._turn = 0
        self.now = 1_000_000.0
        self.paused = False
        self.observer = Observer(LIMIT)
        self.deliveries = 0
        self.held: dict[str, Job] = {}  # by slot: what its worker believes to be running
        self.generation = dict.fromkeys(SLOTS, 1)
        self.lost: set[str] = set()
        self.memories: list[Job] = []  # what workers once held, and may still report on

    @property
    def store(self) -> JobStore:
        """One of the handles."""
        self._turn += 1
        return self._handles[self._turn % len(self._handles)]

    # --- users ------------------------------------------------------------------------------

    @rule(job_ids=st.lists(st.sampled_from([*JOBS]), min_size=1, max_size=5), changed=RARELY)
    def submit(self, job_ids: list[str], changed: bool) -> None:
        """New deliveries, perhaps several of one job, perhaps the first with new content."""
        submissions = [self._delivery(job_ids[0], changed=changed)]
        submissions += [self._delivery(job_id, changed=False) for job_id in job_ids[1:]]
        accepted = sum(self.observer.submitted(submission) for submission in submissions)
        report = self.store.submit(submissions, self.now)
        assert report == SubmitReport(accepted, len(submissions) - accepted)

    @precondition(lambda self: self.observer.jobs)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """What was delivered already is delivered once more."""
        late = data.draw(st.sampled_from(self._choose(data).remembered))
        assert self.store.submit([late], self.now) == SubmitReport(0, 1)

    @precondition(lambda self: self.observer.jobs)
    @rule(data=st.data(), cancel=RARELY)
    def cancel_or_retry(self, data: st.DataObject, cancel: bool) -> None:
        """A user means one job, whatever its status."""
        job = self._choose(data)
        if cancel and job.is_live:
            assert self.store.cancel(job.job_id, self.now).status is Status.CANCELLED
            self.observer.cancelled(job)
        elif not cancel and job.status in (Status.FAILED, Status.CANCELLED):
            assert self.store.retry(job.job_id, self.now).status is Status.QUEUED
            self.observer.started_over(job)
        else:
            change = self.store.cancel if cancel else self.store.retry
            with pytest.raises(NotAllowed):
                change(job.job_id, self.now)

    @precondition(lambda self: self.observer.jobs)
    @rule(paused=RARELY)
    def pause_or_resume(self, paused: bool) -> None:
        """A user says how it is to be."""
        if paused:
            self.store.pause()
        else:
            self.store.resume()
        self.paused = paused

    @precondition(lambda self: self.observer.jobs)
    @rule(seconds=st.sampled_from((1.0, 5.0, LEASE_S / 3, LEASE_S)))
    def time_passes(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.now += seconds

    # --- workers ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.held) < len(SLOTS) and self.observer.some(Status.QUEUED))
    @rule()
    def claim(self) -> None:
        """A worker that has nothing to do asks for a job."""
        slot = next(slot for slot in SLOTS if slot not in self.held)
        self._take(slot, self.store.claim(self._worker(slot), self.now, LEASE_S))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), backoff_s=WAIT_S)
    def settle(self, data: st.DataObject, verdict: Outcome, backoff_s: float) -> None:
        """An attempt ends, and its worker reports it."""
        self._report_settled(self._let_go(self._busy_slot(data)), verdict, backoff_s, None)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), backoff_s=WAIT_S)
    def settle_and_go_on(self, data: st.DataObject, verdict: Outcome, backoff_s: float) -> None:
        """An attempt ends, and its worker reports it and asks for the next job."""
        slot = self._busy_slot(data)
        self._report_settled(self._let_go(slot), verdict, backoff_s, slot)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """A worker keeps its job for longer, or learns that it has lost it."""
        slot = self._busy_slot(data)
        job = self.held[slot]
        if self.observer.is_current(job):
            self.held[slot] = self.store.renew(job, self.now, LEASE_S)
            self.observer.jobs[job.job_id].lease_until = self.now + LEASE_S
        else:
            self._expect_refusal(lambda: self.store.renew(job, self.now, LEASE_S))
            self._let_go(slot)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), delay_s=WAIT_S)
    def give_back(self, data: st.DataObject, delay_s: float) -> None:
        """A worker can't do its part."""
        job = self._let_go(self._busy_slot(data))
        if self.observer.is_current(job):
            self.store.interrupt(job, "trouble", self.now, LIMIT, delay_s)
            self.observer.interrupted(self.observer.jobs[job.job_id], self.now, delay_s)
        else:
            self._expect_refusal(
                lambda: self.store.interrupt(job, "trouble", self.now, LIMIT, delay_s)
            )

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A worker is gone with all that it knew; another one takes its place."""
        slot = self._busy_slot(data)
        self.lost.add(self._worker(slot))
        self.generation[slot] += 1
        self._let_go(slot)

    @precondition(lambda self: self.memories)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS))
    def report_late(self, data: st.DataObject, verdict: Outcome) -> None:
        """A report arrives late, from a worker that crashed since, or has reported before."""
        self._report_settled(data.draw(st.sampled_from(self.memories)), verdict, 0.0, None)

    @precondition(lambda self: self.observer.some(Status.STARTED))
    @rule()
    def reap(self) -> None:
        """The supervisor looks for what was lost."""
        due = [job for job in self.observer.jobs.values() if job.is_due(self.now, self.lost)]
        reaped = self.store.reap(self.lost.__contains__, self.now, LIMIT)
        assert {job.job_id for job in reaped} == {job.job_id for job in due}
        for job in reaped:  # those that fail are settled in this order
            observed = self.observer.jobs[job.job_id]
            self.observer.interrupted(observed, self.now, 0.0)
            assert job.status is observed.status

    # --- what must hold after every step ----------------------------------------------------

    @invariant()
    def every_job_is_queued_started_or_finished(self) -> None:
        """Invariants 1 and 5: no job is lost, and its counters are what happened to it."""
        found = {job.job_id: job for job in self.store.jobs()}
        assert found.keys() == self.observer.jobs.keys()
        for job_id, observed in self.observer.jobs.items():
            job = found[job_id]
            assert (job.status, job.token) == (observed.status, (observed.run, observed.attempt))
            assert (job.spec, job.delivery_id) == observed.submission
            assert job.failures == observed.ended_as(Ending.FAILED)
            assert job.interruptions == observed.ended_as(Ending.INTERRUPTED)
            if isinstance(job.state, Started):
                lease = job.state.lease
                assert (lease.worker, lease.until) == (observed.worker, observed.lease_until)
            elif isinstance(job.state, Queued):
                assert max(job.state.not_before, self.now) == max(observed.ready_at, self.now)

    @invariant()
    def every_run_is_settled_once(self) -> None:
        """Invariant 3: one line a run that ended, in that order; submitted runs = ended + live."""
        lines = self.store.settlements(0, 10_000)
        assert [(line.job_id, line.run, line.status) for line in lines] == self.observer.ended
        assert len({(line.job_id, line.run) for line in lines}) == len(lines)
        assert len(lines) + self.store.counts().live == self.observer.runs

    @invariant()
    def every_attempt_that_ended_is_on_record(self) -> None:
        """Invariant 3 too: an attempt ends once, and its record stays."""
        for job_id, observed in self.observer.jobs.items():
            attempts = self.store.attempts(job_id)
            assert [(attempt.token, attempt.ending) for attempt in attempts] == observed.endings

    @invariant()
    def what_is_to_do_follows_from_the_table(self) -> None:
        """Invariant 6: the queue is what the table says, at any time."""
        jobs = self.observer.jobs.values()
        statuses = [job.status for job in jobs]
        assert self.store.counts().by_status == {one: statuses.count(one) for one in Status}
        waits = [job.ready_at for job in jobs if job.status is Status.QUEUED]
        ready = sum(ready_at <= self.now for ready_at in waits)
        next_due = min((at for at in waits if at > self.now), default=None)
        started = statuses.count(Status.STARTED)
        expected = Backlog(ready, started, next_due)
        if self.paused:
            expected = Backlog(0, started, None, len(waits))
        assert self.store.backlog(self.now, 100) == expected

    def teardown(self) -> None:
        """Whatever happened, every job can be brought to an end: nothing was lost on the way."""
        try:
            self.pause_or_resume(False)
            self.now += 10 * LEASE_S
            self.reap()
            self.held.clear()
            while self.observer.some(Status.QUEUED):
                self._take("w1", self.store.claim(self._worker("w1"), self.now, LEASE_S))
                self._report_settled(self.held.pop("w1"), VERDICTS[0], 0.0, None)
            assert self.store.backlog(self.now, 100).is_empty
            self.every_run_is_settled_once()
        finally:
            for handle in self._handles:
                handle.close()

    # --- pieces -----------------------------------------------------------------------------

    def _delivery(self, job_id: str, *, changed: bool) -> Submission:
        """A delivery of a job; the content of one from the bucket is told by its version."""
        self.deliveries += 1
        known = self.observer.jobs.get(job_id)
        fields = {"job_id": job_id, **JOBS[job_id]}
        if "executable" in fields:
            if known is not None and not changed:
                return known.submission
        elif known is None or changed:
            fields["commands"] = [f"echo {self.deliveries}"]
        else:
            fields["commands"] = known.submission.spec.commands
        return Submission(spec_from_dict(fields), f"delivery {self.deliveries}")

    def _report_settled(
        self, job: Job, verdict: Outcome, backoff_s: float, next_for: str | None
    ) -> None:
        next_lease_s = LEASE_S if next_for is not None else None

        def report() -> Job | None:
            return self.store.settle(job, verdict, self.now, backoff_s, next_lease_s)

        if not self.observer.is_current(job):
            self._expect_refusal(report)
            return
        following = report()
        self.observer.judged(self.observer.jobs[job.job_id], verdict, self.now, backoff_s)
        if next_for is not None:
            self._take(next_for, following)
        else:
            assert following is None

    def _take(self, slot: str, job: Job | None) -> None:
        """What a claim gave must be what it had to give."""
        expected = None if self.paused else self.observer.next_ready(self.now)
        if expected is None:
            assert job is None
            return
        assert job is not None
        if not self._exact_order:
            first, expected = expected, self.observer.jobs[job.job_id]
            assert expected.status is Status.QUEUED
            assert expected.ready_at <= self.now
            assert expected.submission.spec.priority == first.submission.spec.priority
        assert job.spec == expected.submission.spec
        self.observer.claimed(expected, self._worker(slot), self.now + LEASE_S)
        self.held[slot] = job

    def _expect_refusal(self, report: Callable[[], object]) -> None:
        """Invariant 2: a stale report is an error; the invariants then see that nothing changed."""
        with pytest.raises(StaleToken):
            report()

    def _choose(self, data: st.DataObject) -> Observed:
        return self.observer.jobs[data.draw(st.sampled_from(sorted(self.observer.jobs)))]

    def _busy_slot(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.held)))

    def _let_go(self, slot: str) -> Job:
        """A worker holds its job no more, but may still know it."""
        job = self.held.pop(slot)
        self.memories.append(job)
        return job

    def _worker(self, slot: str) -> str:
        return f"{slot}.{self.generation[slot]}"
