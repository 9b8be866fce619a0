"""A model of the whole life of jobs, to hold against a store: what users, workers and crashes do,
in any order, and by a few plain rules of its own what must come of it.

The model knows nothing of `core.lifecycle`. It keeps, for each job, what a careful observer would
have written down, and compares that with what the store says after every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.core.confirm import Outcome
from shoal.core.errors import NotAllowed, StaleToken
from shoal.core.job import Ending, Job, Queued, Started, Status, Token
from shoal.core.spec import spec_from_dict
from shoal.ports import JobStore, Submission, SubmitReport

LEASE_S = 30.0
LIMIT = 2
JOBS: dict[str, dict[str, Any]] = {
    "a": {"retry": 2},
    "b/run.sh": {"retry": 1, "priority": 1},
    "c": {},
    "d": {"retry": 1},
    "e e": {"retry": 2, "priority": -1},
}
RARELY = st.sampled_from([*[False] * 9, True])
SLOTS = ("w1", "w2", "w3")
VERDICTS = (
    Outcome(True, "confirmed", 0),
    Outcome(False, "exit code 1", 1),
    Outcome(False, "no such interpreter", None, retry_helps=False),
)


@dataclass
class Observed:
    """What an observer knows of a job."""

    submission: Submission
    age: int
    status: Status = Status.QUEUED
    run: int = 1
    attempt: int = 0
    ready_at: float = 0.0
    worker: str = ""
    lease_until: float = 0.0
    endings: list[tuple[Token, Ending]] = field(default_factory=list)

    def ended_as(self, ending: Ending) -> int:
        """How many attempts of this run ended so."""
        return sum(token.run == self.run and how is ending for token, how in self.endings)

    @property
    def is_live(self) -> bool:
        return self.status in (Status.QUEUED, Status.STARTED)


class Ended(NamedTuple):
    """A run that is over."""

    job_id: str
    run: int
    status: Status


class JobLife(RuleBasedStateMachine):
    """Several workers, users and a clock, on one store.

    Args:
        handles: of one store without jobs; each step uses the next, so that no knowledge can
            hide in a handle. The model closes them.
    """

    def __init__(self, *handles: JobStore) -> None:
        super().__init__()
        self._handles = handles
        self._turn = 0
        self.now = 1_000_000.0
        self.paused = False
        self.jobs: dict[str, Observed] = {}
        self.ended: list[Ended] = []
        self.runs = 0
        self.deliveries = 0
        self.held: dict[str, Job] = {}  # by slot: what its worker believes to be running
        self.generation = dict.fromkeys(SLOTS, 1)
        self.dead: set[str] = set()
        self.memories: list[Job] = []  # of workers that lost a job, or were thought lost

    @property
    def store(self) -> JobStore:
        self._turn += 1
        return self._handles[self._turn % len(self._handles)]

    # --- users ------------------------------------------------------------------------------

    @rule(job_ids=st.lists(st.sampled_from([*JOBS]), min_size=1, max_size=5), changed=RARELY)
    def submit(self, job_ids: list[str], changed: bool) -> None:
        """New deliveries, perhaps several of one job, perhaps the first with new content."""
        submissions = []
        for job_id in job_ids:
            self.deliveries += 1
            if job_id in self.jobs and (submissions or not changed):
                spec = self.jobs[job_id].submission.spec
            else:
                command = f"echo {self.deliveries}"
                spec = spec_from_dict({"job_id": job_id, "commands": [command], **JOBS[job_id]})
            submissions.append(Submission(spec, f"delivery {self.deliveries}"))
        accepted = sum(self._observe_submission(one) for one in submissions)
        report = self.store.submit(submissions, self.now)
        assert report == SubmitReport(accepted, len(submissions) - accepted)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """What was delivered already is delivered once more."""
        job = self._choose(data)
        assert self.store.submit([job.submission], self.now) == SubmitReport(0, 1)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel_or_retry(self, data: st.DataObject) -> None:
        """A user means one job."""
        job = self._choose(data)
        if data.draw(RARELY):
            self._cancel(job)
        else:
            self._retry(job)

    def _cancel(self, job: Observed) -> None:
        job_id = job.submission.spec.job_id
        if job.is_live:
            assert self.store.cancel(job_id, self.now).status is Status.CANCELLED
            self._observe_end_of_run(job, Status.CANCELLED, Ending.CANCELLED)
        else:
            with pytest.raises(NotAllowed):
                self.store.cancel(job_id, self.now)

    def _retry(self, job: Observed) -> None:
        job_id = job.submission.spec.job_id
        if job.status in (Status.FAILED, Status.CANCELLED):
            assert self.store.retry(job_id, self.now).status is Status.QUEUED
            self._observe_new_run(job)
        else:
            with pytest.raises(NotAllowed):
                self.store.retry(job_id, self.now)

    @precondition(lambda self: self.jobs)
    @rule(paused=RARELY)
    def pause_or_resume(self, paused: bool) -> None:
        if paused:
            self.store.pause()
        else:
            self.store.resume()
        self.paused = paused

    @precondition(lambda self: self.jobs)
    @rule(seconds=st.sampled_from((1.0, 5.0, LEASE_S / 3, LEASE_S)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # --- workers ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.held) < len(SLOTS) and self._some(Status.QUEUED))
    @rule()
    def claim(self) -> None:
        """A worker that has nothing to do asks for a job."""
        slot = next(slot for slot in SLOTS if slot not in self.held)
        self._take(slot, self.store.claim(self._worker(slot), self.now, LEASE_S))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), backoff_s=st.sampled_from((0.0, 5.0)))
    def settle(self, data: st.DataObject, verdict: Outcome, backoff_s: float) -> None:
        """An attempt ends, and its worker reports it."""
        job = self.held.pop(self._busy_slot(data))
        self.memories.append(job)
        self._report_settled(job, verdict, backoff_s, None)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), backoff_s=st.sampled_from((0.0, 5.0)))
    def settle_and_go_on(self, data: st.DataObject, verdict: Outcome, backoff_s: float) -> None:
        """An attempt ends, and its worker reports it and asks for the next job."""
        slot = self._busy_slot(data)
        job = self.held.pop(slot)
        self.memories.append(job)
        self._report_settled(job, verdict, backoff_s, slot)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """A worker keeps its job for longer, or learns that it has lost it."""
        slot = self._busy_slot(data)
        job = self.held[slot]
        if self._is_current(job):
            self.held[slot] = self.store.renew(job, self.now, LEASE_S)
            self.jobs[job.job_id].lease_until = self.now + LEASE_S
        else:
            self._expect_refusal(lambda: self.store.renew(job, self.now, LEASE_S))
            self.memories.append(self.held.pop(slot))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """A worker can't do its part."""
        job = self.held.pop(self._busy_slot(data))
        delay_s = data.draw(st.sampled_from((0.0, 5.0)))
        if self._is_current(job):
            self.store.interrupt(job, "trouble", self.now, LIMIT, delay_s)
            self._observe_interruption(self.jobs[job.job_id], delay_s)
        else:
            self._expect_refusal(
                lambda: self.store.interrupt(job, "trouble", self.now, LIMIT, delay_s)
            )
        self.memories.append(job)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A worker is gone with all that it knew; another one takes its place."""
        slot = self._busy_slot(data)
        self.dead.add(self._worker(slot))
        self.generation[slot] += 1
        self.memories.append(self.held.pop(slot))

    @precondition(lambda self: self.memories)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS))
    def late_report(self, data: st.DataObject, verdict: Outcome) -> None:
        """A report arrives late, from a worker that crashed since or has reported before."""
        job = data.draw(st.sampled_from(self.memories))
        self._report_settled(job, verdict, 0.0, None)

    @precondition(lambda self: self._some(Status.STARTED))
    @rule()
    def reap(self) -> None:
        due = {
            job_id
            for job_id, job in self.jobs.items()
            if job.status is Status.STARTED
            and (job.worker in self.dead or job.lease_until <= self.now)
        }
        reaped = self.store.reap(self.dead.__contains__, self.now, LIMIT)
        assert sorted(job.job_id for job in reaped) == sorted(due)
        by_id = {job.job_id: job for job in reaped}
        for job_id in [job.job_id for job in reaped]:
            self._observe_interruption(self.jobs[job_id], 0.0)
            assert by_id[job_id].status is self.jobs[job_id].status

    # --- what must hold after every step ----------------------------------------------------

    @invariant()
    def every_job_is_queued_started_or_finished(self) -> None:
        """Invariant 1, with all counters: they say what happened, and nothing else."""
        found = {job.job_id: job for job in self.store.jobs()}
        assert found.keys() == self.jobs.keys()
        for job_id, observed in self.jobs.items():
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
        settled = [(line.job_id, line.run, line.status) for line in lines]
        assert settled == self.ended
        assert len({(line.job_id, line.run) for line in lines}) == len(lines)
        assert len(lines) + self.store.counts().live == self.runs

    @invariant()
    def every_attempt_that_ended_is_on_record(self) -> None:
        for job_id, observed in self.jobs.items():
            attempts = self.store.attempts(job_id)
            assert [(one.token, one.ending) for one in attempts] == observed.endings

    @invariant()
    def counts_and_backlog_agree(self) -> None:
        """Invariant 6: what is to be done can be derived from the table at any time."""
        statuses = [job.status for job in self.jobs.values()]
        assert self.store.counts().by_status == {one: statuses.count(one) for one in Status}
        waits = [job.ready_at for job in self.jobs.values() if job.status is Status.QUEUED]
        ready = sum(ready_at <= self.now for ready_at in waits)
        next_due = min((at for at in waits if at > self.now), default=None)
        started = statuses.count(Status.STARTED)
        expected = (0, started, None) if self.paused else (ready, started, next_due)
        assert self.store.backlog(self.now, 100) == expected

    def teardown(self) -> None:
        """Whatever happened, every job can be brought to an end: nothing was lost on the way."""
        try:
            self._finish_everything()
        finally:
            for handle in self._handles:
                handle.close()

    def _finish_everything(self) -> None:
        self.pause_or_resume(False)
        self.now += 10 * LEASE_S
        self.reap()
        self.held.clear()
        for _ in range(len(JOBS) + 1):
            job = self._observe_claim("last", self.store.claim("last", self.now, LEASE_S))
            if job is None:
                break
            self._report_settled(job, VERDICTS[0], 0.0, None)
        self.every_job_is_queued_started_or_finished()
        self.every_run_is_settled_once()
        assert len(self.ended) == self.runs

    # --- the observer's rules ---------------------------------------------------------------

    def _observe_submission(self, submission: Submission) -> bool:
        job_id = submission.spec.job_id
        job = self.jobs.get(job_id)
        if job is None:
            self.jobs[job_id] = Observed(submission, age=len(self.jobs))
            self.runs += 1
            return True
        if job.submission.delivery_id == submission.delivery_id:
            return False
        if job.is_live:
            if job.submission.spec == submission.spec:
                return False
            self._observe_end_of_run(job, Status.CANCELLED, Ending.CANCELLED)
        job.submission = submission
        self._observe_new_run(job)
        return True

    def _observe_new_run(self, job: Observed) -> None:
        job.status, job.ready_at = Status.QUEUED, 0.0
        job.run, job.attempt = job.run + 1, 0
        self.runs += 1

    def _observe_end_of_run(self, job: Observed, status: Status, ending: Ending) -> None:
        if job.status is Status.STARTED:
            self._observe_end_of_attempt(job, ending)
        job.status = status
        self.ended.append(Ended(job.submission.spec.job_id, job.run, status))

    def _observe_end_of_attempt(self, job: Observed, ending: Ending) -> None:
        job.endings.append((Token(job.run, job.attempt), ending))

    def _observe_interruption(self, job: Observed, delay_s: float) -> None:
        if job.ended_as(Ending.INTERRUPTED) == LIMIT:
            self._observe_end_of_run(job, Status.FAILED, Ending.INTERRUPTED)
        else:
            self._observe_requeue(job, Ending.INTERRUPTED, delay_s)

    def _observe_requeue(self, job: Observed, ending: Ending, delay_s: float) -> None:
        self._observe_end_of_attempt(job, ending)
        job.status = Status.QUEUED
        job.ready_at = self.now + delay_s if delay_s else 0.0

    def _observe_verdict(self, job: Observed, verdict: Outcome, backoff_s: float) -> None:
        if verdict.confirmed:
            self._observe_end_of_run(job, Status.SUCCESSFUL, Ending.SUCCESSFUL)
        elif job.ended_as(Ending.FAILED) < job.submission.spec.retry and verdict.retry_helps:
            self._observe_requeue(job, Ending.FAILED, backoff_s)
        else:
            self._observe_end_of_run(job, Status.FAILED, Ending.FAILED)

    def _observe_claim(self, worker: str, job: Job | None) -> Job | None:
        """A claim must have given the job of highest priority, and of those the oldest."""
        ready = [
            one
            for one in self.jobs.values()
            if one.status is Status.QUEUED and one.ready_at <= self.now and not self.paused
        ]
        if not ready:
            assert job is None
            return None
        best = min(ready, key=lambda one: (-one.submission.spec.priority, one.age))
        assert job is not None
        assert job.spec == best.submission.spec
        best.status, best.attempt = Status.STARTED, best.attempt + 1
        best.worker, best.lease_until = worker, self.now + LEASE_S
        return job

    def _report_settled(
        self, job: Job, verdict: Outcome, backoff_s: float, next_for: str | None
    ) -> None:
        next_lease_s = LEASE_S if next_for is not None else None
        if not self._is_current(job):
            self._expect_refusal(
                lambda: self.store.settle(job, verdict, self.now, backoff_s, next_lease_s)
            )
            return
        following = self.store.settle(job, verdict, self.now, backoff_s, next_lease_s)
        self._observe_verdict(self.jobs[job.job_id], verdict, backoff_s)
        if next_for is not None:
            self._take(next_for, following)

    def _take(self, slot: str, job: Job | None) -> None:
        if self._observe_claim(self._worker(slot), job) is not None:
            assert job is not None
            self.held[slot] = job

    # --- pieces -----------------------------------------------------------------------------

    def _choose(self, data: st.DataObject) -> Observed:
        return self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]

    def _busy_slot(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.held)))

    def _some(self, status: Status) -> bool:
        return any(job.status is status for job in self.jobs.values())

    def _worker(self, slot: str) -> str:
        return f"{slot}.{self.generation[slot]}"

    def _is_current(self, job: Job) -> bool:
        """Whether a worker's copy of a job is the attempt that runs, so that its report counts."""
        known = self.jobs[job.job_id]
        return known.status is Status.STARTED and job.token == (known.run, known.attempt)

    def _expect_refusal(self, report: object) -> None:
        """Invariant 2: a stale report is an error; the invariants then see that nothing changed."""
        assert callable(report)
        with pytest.raises(StaleToken):
            report()
