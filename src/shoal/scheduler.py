"""One worker's scheduler: take a job, start it, judge it, record it, take the next.

It knows one worker and nothing of the others; what they share is the store. The loop in
`worker.py` drives it on one machine.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shoal.core.backoff import backoff_s
from shoal.core.confirm import Ended, confirm
from shoal.core.errors import BucketError, StaleToken, StoreBusy, StoreFull
from shoal.core.job import Job, Started
from shoal.ports import Clock, JobStore, R, Runner
from shoal.settings import Settings


class Heartbeat:
    """Keeps the lease of a job: called often while the worker is busy with it, it renews when due.

    Args:
        job: as claimed.
        store: where.
        clock: the time.
        lease_s: how long a lease lasts; renewed at a third of it, so two lost beats are survivable.
    """

    def __init__(self, job: Job, store: JobStore, clock: Clock, lease_s: float) -> None:
        self.job = job
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self.due_at = clock.now() + lease_s / 3

    def __call__(self) -> None:
        """Renew when it is time to. Raises StaleToken when the job is ours no more."""
        if self._clock.now() >= self.due_at:
            self.renew()

    def renew(self) -> None:
        """Renew now; while the store has no room, try again for as long as the lease lasts.

        Raises:
            StaleToken: the job is ours no more, or may be.
        """
        now = self._clock.now()
        try:
            self.job = self._store.renew(self.job, now, self._lease_s)
        except (StoreFull, StoreBusy) as trouble:
            assert isinstance(self.job.state, Started)
            if now >= self.job.state.lease.until:
                raise StaleToken(
                    f"the lease of job {self.job.job_id!r} ran out while it could not be renewed"
                    f" ({trouble.what})",
                    trouble.remedy,
                ) from trouble
            self.due_at = now + 1.0
        else:
            self.due_at = now + self._lease_s / 3


class Scheduler:
    """The scheduler of one worker.

    Args:
        worker: the worker's name.
        store: the queue and table that all workers share.
        clock: the time.
        settings: of the environment.
        random: gives numbers in [0, 1), to spread retries.
    """

    def __init__(
        self,
        worker: str,
        store: JobStore,
        clock: Clock,
        settings: Settings,
        random: Callable[[], float],
    ) -> None:
        self.worker = worker
        self._store = store
        self._clock = clock
        self._settings = settings
        self._random = random

    def next_job(self) -> Job | None:
        """Claim a job, or None when none is ready."""
        return self._store.claim(self.worker, self._clock.now(), self._settings.lease_s)

    def next_due(self) -> float | None:
        """When a job that backs off becomes ready."""
        return self._store.backlog(self._clock.now(), 1).next_due

    def timeout_s(self, job: Job) -> float | None:
        """How long an attempt of the job may run."""
        return job.spec.timeout or self._settings.timeout_s or None

    def heartbeat(self, job: Job) -> Heartbeat:
        """What keeps the lease of a job that was just claimed."""
        return Heartbeat(job, self._store, self._clock, self._settings.lease_s)

    def stage_out(self, runner: Runner[R], heart: Heartbeat, running: R, ended: Ended) -> Ended:
        """Bring the results to the job folder; what can't be brought counts against the attempt.

        Raises:
            StaleToken: the job is ours no more; nothing was staged out.
        """
        try:
            results = runner.results(running, heart)
            if results:
                self._store.record_results(heart.job, results)
                runner.stage_out(running, heart)
        except BucketError as refused:
            return msgspec.structs.replace(ended, problem=str(refused), retry_helps=False)
        return ended

    def settle_job(self, job: Job, ended: Ended, *, take_next: bool) -> Job | None:
        """Confirm and record how an attempt ended, and claim the next job.

        Raises:
            StaleToken: the job is ours no more; nothing was recorded.
        """
        settings = self._settings
        outcome = confirm(job.spec, ended)
        wait_s = 0.0
        if not outcome.confirmed:
            wait_s = backoff_s(
                job.failures + 1, settings.backoff_base_s, settings.backoff_max_s, self._random()
            )
        now = self._clock.now()
        return self._store.settle(
            job, outcome, now, wait_s, settings.lease_s if take_next else None
        )

    def give_back(self, job: Job, trouble: str) -> None:
        """Put a job back that this worker could not run, for later: the cause may last."""
        settings = self._settings
        delay_s = backoff_s(
            job.interruptions + 1, settings.backoff_base_s, settings.backoff_max_s, self._random()
        )
        self._store.interrupt(job, trouble, self._clock.now(), settings.max_interruptions, delay_s)
