"""The job store in memory: the shortest one that keeps every promise of `ports.JobStore`.

It is what the conformance suite is read against, and what tests use that need no file. One lock
stands for the transaction; a change is written on the same condition as in any other store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from shoal.core.confirm import Outcome
from shoal.core.errors import JobNotFound, NotAllowed, SpecError, StaleToken
from shoal.core.glob import matcher
from shoal.core.job import Attempt, Job, Queued, Settlement, Started, Status
from shoal.core.lifecycle import (
    Cancelled,
    Claimed,
    Decision,
    Event,
    Exited,
    Interrupted,
    Record,
    Renewed,
    RetryAsked,
    Settle,
    StopBatch,
    Submitted,
    decide,
)
from shoal.core.spec import refused_json, spec_json
from shoal.ports import Backlog, Counts, Order, Page, Query, Submission, SubmitReport


class MemoryStore:
    """A `ports.JobStore` that lasts as long as the object. It may be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}  # in order of first submission
        self._attempts: dict[str, list[Attempt]] = {}
        self._settlements: list[Settlement] = []
        self._disarmed: dict[tuple[str, str], str | None] = {}  # key, version -> maker
        self._stopped: dict[str, str] = {}  # batch -> why
        self._paused = False

    def close(self) -> None:
        """Nothing to give back: others may still use the store."""

    # --- submit -----------------------------------------------------------------------------

    def submit(self, submissions: Iterable[Submission], now: float) -> SubmitReport:
        accepted = unchanged = 0
        for spec, delivery_id in submissions:
            with self._lock:
                job = self._jobs.get(spec.job_id)
                decision = decide(job, Submitted(spec, delivery_id), now)
                self._write(job, decision, now)
            accepted += decision.job is not job
            unchanged += decision.job is job
        return SubmitReport(accepted, unchanged)

    # --- a worker's calls -------------------------------------------------------------------

    def claim(self, worker: str, now: float, lease_s: float) -> Job | None:
        with self._lock:
            while ready := [] if self._paused else self._ready(now):
                # `max` takes the first of equals, which is the oldest.
                job = max(ready, key=lambda job: job.spec.priority)
                if not job.spec.stop_on_success or job.spec.batch not in self._stopped:
                    return self._write(job, decide(job, Claimed(worker, now + lease_s), now), now)
                self._report(job, Cancelled(self._stopped[job.spec.batch]), now)
            return None

    def renew(self, job: Job, now: float, lease_s: float) -> Job:
        return self._report(job, Renewed(job.token, now + lease_s), now)

    def settle(
        self, job: Job, outcome: Outcome, now: float, backoff_s: float, next_lease_s: float | None
    ) -> Job | None:
        with self._lock:
            self._report(job, Exited(job.token, outcome, backoff_s), now)
            if next_lease_s is None:
                return None
            assert isinstance(job.state, Started)
            return self.claim(job.state.lease.worker, now, next_lease_s)

    def interrupt(self, job: Job, reason: str, now: float, limit: int, delay_s: float) -> None:
        self._report(job, Interrupted(job.token, reason, limit, delay_s), now)

    def _report(self, job: Job, event: Event, now: float) -> Job:
        """Decide on the job as its worker knows it; the write finds out whether that is true."""
        with self._lock:
            return self._write(job, decide(job, event, now), now)

    def _ready(self, now: float) -> list[Job]:
        return [
            job
            for job in self._jobs.values()
            if isinstance(job.state, Queued) and job.state.not_before <= now
        ]

    # --- a user's calls ---------------------------------------------------------------------

    def cancel(self, job_id: str, now: float) -> Job:
        with self._lock:
            return self._report(self.job(job_id), Cancelled(), now)

    def cancel_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        return self._each(job_ids, self.cancel, now)

    def retry_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        return self._each(job_ids, self.retry, now)

    def _each(
        self, job_ids: Sequence[str], change: Callable[[str, float], Job], now: float
    ) -> list[Job]:
        changed = []
        for job_id in job_ids:
            try:
                changed.append(change(job_id, now))
            except (JobNotFound, NotAllowed):
                continue
        return changed

    def retry(self, job_id: str, now: float) -> Job:
        with self._lock:
            return self._report(self.job(job_id), RetryAsked(), now)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    # --- repair -----------------------------------------------------------------------------

    def reap(self, is_lost: Callable[[str], bool], now: float, limit: int) -> list[Job]:
        started = [(job, job.state.lease) for job in self.jobs() if isinstance(job.state, Started)]
        # Asked without the lock: to find out may take long, and jobs may end meanwhile.
        lost = {worker: is_lost(worker) for worker in {lease.worker for _, lease in started}}
        reaped = []
        for job, lease in started:
            if lost[lease.worker]:
                reason = f"worker {lease.worker} is gone"
            elif lease.until <= now:
                reason = f"worker {lease.worker} let the lease expire"
            else:
                continue
            with self._lock:
                if self._jobs[job.job_id] is job:
                    reaped.append(self._report(job, Interrupted(job.token, reason, limit), now))
        return reaped

    # --- results ----------------------------------------------------------------------------

    def record_results(self, job: Job, results: dict[str, str]) -> None:
        with self._lock:
            self._check_unchanged(job)
            for key, version in results.items():
                self._disarmed[key, version] = job.job_id

    def results(self, job_id: str) -> list[str]:
        with self._lock:
            made = (key for (key, _), maker in self._disarmed.items() if maker == job_id)
            return list(dict.fromkeys(made))

    def refuse(self, key: str, version: str, reason: str, now: float) -> None:
        with self._lock:
            if not self.starts_no_job(key, version):
                self._settled(None, 0, Status.FAILED, reason, now, refused_json(key))
                self.disarm(key, version)

    def disarm(self, key: str, version: str) -> None:
        self._disarmed[key, version] = None

    def starts_no_job(self, key: str, version: str) -> bool:
        return (key, version) in self._disarmed

    # --- reading ----------------------------------------------------------------------------

    def is_paused(self) -> bool:
        return self._paused

    def job(self, job_id: str) -> Job:
        with self._lock:
            if job_id not in self._jobs:
                raise JobNotFound(f"there is no job {job_id!r}", "'shoal status' lists them")
            return self._jobs[job_id]

    def jobs(
        self,
        pattern: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        matches = matcher("*" if pattern is None else pattern)
        with self._lock:
            found = [
                job
                for job in reversed(self._jobs.values())
                if (not statuses or job.status in statuses)
                and (batch is None or job.spec.batch == batch != "")
                and matches(job.job_id)
            ]
        return found[:limit]

    orders = tuple(Order)

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        found = self.jobs(query.pattern, query.statuses, None, query.batch)
        match query.order:
            case Order.OLDEST:
                found.reverse()
            case Order.NAME:
                found.sort(key=lambda job: job.job_id)
            case Order.NAME_BACKWARDS:
                found.sort(key=lambda job: job.job_id, reverse=True)
            case Order.ENDED:
                ended = {line.job_id: line.cursor for line in self._settlements}
                found = [job for job in found if job.status.is_final]
                found.sort(key=lambda job: -ended[job.job_id])
        begin = 0
        if after is not None:
            names = [job.job_id for job in found]
            if after not in names:
                raise SpecError(f"{after!r} is no place in this list", "begin with its first page")
            begin = names.index(after) + 1
        jobs = found[begin : begin + limit]
        return Page(jobs, jobs[-1].job_id if begin + limit < len(found) else None)

    def attempts(self, job_id: str) -> list[Attempt]:
        with self._lock:
            return list(self._attempts.get(job_id, ()))

    def attempts_of(self, jobs: Sequence[Job]) -> dict[str, list[Attempt]]:
        return {job.job_id: self.attempts(job.job_id) for job in jobs}

    def recent(self, since: float, limit: int) -> list[Job]:
        with self._lock:
            found = self.jobs(statuses=[Status.STARTED])
            found += [job for job in reversed(self.jobs(statuses=[Status.QUEUED])) if job.attempt]
            found += [
                self._jobs[line.job_id]
                for line in reversed(self._settlements)
                if line.job_id is not None and line.settled_at >= since
            ]
        return list({job.job_id: job for job in found}.values())[:limit]

    def counts(self, batch: str | None = None) -> Counts:
        return Counts.of(self.jobs(batch=batch))

    def backlog(self, now: float, at_most: int) -> Backlog:
        with self._lock:
            started = sum(job.status is Status.STARTED for job in self._jobs.values())
            due = [
                job.state.not_before for job in self._jobs.values() if isinstance(job.state, Queued)
            ]
            if self._paused:
                return Backlog(0, started, None, min(len(due), at_most))
        ready = sum(not_before <= now for not_before in due)
        later = [not_before for not_before in due if not_before > now]
        return Backlog(min(ready, at_most), started, min(later, default=None))

    def settlements(self, after: int, limit: int) -> list[Settlement]:
        with self._lock:
            return self._settlements[after : after + limit]

    # --- pieces -----------------------------------------------------------------------------

    def _write(self, old: Job | None, decision: Decision, now: float) -> Job:
        """Write a decision, on the condition that the job is still the one it was made on."""
        job = decision.job
        if job is old:
            return job
        if old is not None:
            self._check_unchanged(old)
        self._jobs[job.job_id] = job
        for effect in decision.effects:
            if isinstance(effect, Record):
                self._attempts.setdefault(job.job_id, []).append(effect.attempt)
            elif isinstance(effect, Settle):
                text = spec_json(effect.spec)
                self._settled(job.job_id, effect.run, effect.status, effect.reason, now, text)
            elif isinstance(effect, StopBatch):
                self._stopped[effect.batch] = effect.reason
                for left in self.jobs(batch=effect.batch):
                    if not left.status.is_final:
                        self._report(left, Cancelled(effect.reason), now)
        return job

    def _check_unchanged(self, old: Job) -> None:
        current = self._jobs.get(old.job_id)
        if current is None or (current.status, current.token) != (old.status, old.token):
            raise StaleToken(
                f"job {old.job_id!r} is no longer {old.status} with token {old.token}",
                "drop the change; the job is in other hands or over",
            )

    def _settled(
        self, job_id: str | None, run: int, status: Status, reason: str, now: float, job: str
    ) -> None:
        cursor = len(self._settlements) + 1
        self._settlements.append(Settlement(cursor, job_id, run, status, reason, now, job))
