"""One worker's scheduler: take a job, start it, judge it, record it, take the next.

It knows one worker and nothing of the others; what they share is the store. The loop in
`worker.py` drives it on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

import msgspec

from shoal.core.backoff import backoff_s
from shoal.core.confirm import Ended, confirm
from shoal.core.errors import BucketError
from shoal.core.job import Job
from shoal.ports import Clock, JobStore, R, Runner
from shoal.settings import Settings


class Scheduler(Generic[R]):
    """The scheduler of one worker.

    Args:
        worker: the worker's name.
        store: the queue and table that all workers share.
        runner: starts attempts on this worker.
        clock: the time.
        settings: of the environment.
        random: gives numbers in [0, 1), to spread retries.
    """

    def __init__(
        self,
        worker: str,
        store: JobStore,
        runner: Runner[R],
        clock: Clock,
        settings: Settings,
        random: Callable[[], float],
    ) -> None:
        self.worker = worker
        self._store = store
        self._runner = runner
        self._clock = clock
        self._settings = settings
        self._random = random

    def next_job(self) -> Job | None:
        """Claim a job, or None when none is ready."""
        return self._store.claim(self.worker, self._clock.now(), self._settings.lease_s)

    def next_due(self) -> float | None:
        """When a job that backs off becomes ready."""
        return self._store.backlog(self._clock.now(), 1).next_due

    def start_job(self, job: Job) -> R | Ended:
        """Start an attempt. Raises OSError when this worker can't start any."""
        return self._runner.start(job)

    def timeout_s(self, job: Job) -> float | None:
        """How long an attempt of the job may run."""
        return job.spec.timeout or self._settings.timeout_s or None

    def keep_job(self, job: Job) -> Job:
        """Renew the lease. Raises StaleToken when the job is ours no more."""
        return self._store.renew(job, self._clock.now(), self._settings.lease_s)

    def stage_out(self, job: Job, running: R, ended: Ended) -> Ended:
        """Bring the results to the job folder; what can't be brought counts against the attempt.

        Raises:
            StaleToken: the job is ours no more; nothing was staged out.
        """
        try:
            results = self._runner.results(running)
            if results:
                self._store.record_results(job, results)
                self._runner.stage_out(running)
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
