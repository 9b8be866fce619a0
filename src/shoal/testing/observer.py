"""What a careful observer of a store would write down: a second opinion on the life of a job.

It is made of plain rules of its own and knows nothing of `core.lifecycle`, so that a mistake there
is not repeated here. `model` compares it with a store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from shoal.core.confirm import Outcome
from shoal.core.job import KEPT_DELIVERIES, Ending, Job, Status, Token
from shoal.ports import Submission


class EndedRun(NamedTuple):
    """A run that is over."""

    job_id: str
    run: int
    status: Status


@dataclass
class Observed:
    """What the observer knows of a job."""

    submission: Submission
    age: int
    status: Status = Status.QUEUED
    run: int = 1
    attempt: int = 0
    ready_at: float = 0.0
    worker: str = ""
    lease_until: float = 0.0
    endings: list[tuple[Token, Ending]] = field(default_factory=list)
    earlier: list[Submission] = field(default_factory=list)
    """What led to its earlier runs, the newest first."""

    @property
    def remembered(self) -> list[Submission]:
        """The deliveries that would be recognised."""
        return [self.submission, *self.earlier][:KEPT_DELIVERIES]

    @property
    def job_id(self) -> str:
        """Its name."""
        return self.submission.spec.job_id

    @property
    def is_live(self) -> bool:
        """Whether its run is not over."""
        return self.status in (Status.QUEUED, Status.STARTED)

    def ended_as(self, ending: Ending) -> int:
        """How many attempts of this run ended so."""
        return sum(token.run == self.run and how is ending for token, how in self.endings)

    def is_due(self, now: float, lost: set[str]) -> bool:
        """Whether it is to be reaped."""
        return self.status is Status.STARTED and (self.worker in lost or self.lease_until <= now)


class Observer:
    """Keeps the books on all jobs.

    Args:
        limit: more interruptions than this fail a run.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.jobs: dict[str, Observed] = {}
        self.ended: list[EndedRun] = []
        self.runs = 0
        """Runs that were accepted."""

    def some(self, status: Status) -> bool:
        """Whether any job has this status."""
        return any(job.status is status for job in self.jobs.values())

    def is_current(self, job: Job) -> bool:
        """Whether a worker's copy of a job is the attempt that runs, so that its report counts."""
        known = self.jobs[job.job_id]
        return known.status is Status.STARTED and job.token == (known.run, known.attempt)

    def next_ready(self, now: float) -> Observed | None:
        """The job that a claim has to give: of highest priority, and of those the oldest."""
        queued = [job for job in self.jobs.values() if job.status is Status.QUEUED]
        ready = [job for job in queued if job.ready_at <= now]
        return min(ready, key=lambda job: (-job.submission.spec.priority, job.age), default=None)

    # --- events -----------------------------------------------------------------------------

    def submitted(self, submission: Submission) -> bool:
        """A delivery; whether it is a new run."""
        job = self.jobs.get(submission.spec.job_id)
        if job is None:
            self.jobs[submission.spec.job_id] = Observed(submission, age=len(self.jobs))
            self.runs += 1
            return True
        if submission.delivery_id in [known.delivery_id for known in job.remembered]:
            return False
        if job.is_live:
            is_direct = submission.spec.executable is None
            if is_direct and job.submission.spec == submission.spec:
                return False
            self.cancelled(job)
        job.earlier.insert(0, job.submission)
        job.submission = submission
        self.started_over(job)
        return True

    def started_over(self, job: Observed) -> None:
        """A new run."""
        job.status, job.ready_at = Status.QUEUED, 0.0
        job.run, job.attempt = job.run + 1, 0
        self.runs += 1

    def claimed(self, job: Observed, worker: str, lease_until: float) -> None:
        """A new attempt."""
        job.status, job.attempt = Status.STARTED, job.attempt + 1
        job.worker, job.lease_until = worker, lease_until

    def judged(self, job: Observed, verdict: Outcome, now: float, backoff_s: float) -> None:
        """An attempt ended by itself."""
        if verdict.confirmed:
            self._end_run(job, Status.SUCCESSFUL, Ending.SUCCESSFUL)
        elif job.ended_as(Ending.FAILED) < job.submission.spec.retry and verdict.retry_helps:
            self._requeue(job, Ending.FAILED, now, backoff_s)
        else:
            self._end_run(job, Status.FAILED, Ending.FAILED)

    def interrupted(self, job: Observed, now: float, delay_s: float) -> None:
        """An attempt ended because of its worker."""
        if job.ended_as(Ending.INTERRUPTED) == self._limit:
            self._end_run(job, Status.FAILED, Ending.INTERRUPTED)
        else:
            self._requeue(job, Ending.INTERRUPTED, now, delay_s)

    def cancelled(self, job: Observed) -> None:
        """A live run is not wanted any more."""
        self._end_run(job, Status.CANCELLED, Ending.CANCELLED)

    # --- pieces -----------------------------------------------------------------------------

    def _requeue(self, job: Observed, ending: Ending, now: float, wait_s: float) -> None:
        job.endings.append((Token(job.run, job.attempt), ending))
        job.status = Status.QUEUED
        job.ready_at = now + wait_s if wait_s else 0.0

    def _end_run(self, job: Observed, status: Status, ending: Ending) -> None:
        if job.status is Status.STARTED:
            job.endings.append((Token(job.run, job.attempt), ending))
        job.status = status
        self.ended.append(EndedRun(job.job_id, job.run, status))
