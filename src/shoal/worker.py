"""The loop that drives a worker's scheduler inside a process, until there is nothing to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from shoal.core.confirm import Ended
from shoal.core.errors import StaleToken, StoreBusy, StoreFull
from shoal.core.job import Job
from shoal.ports import Attention, Clock, R, Runner
from shoal.scheduler import Scheduler
from shoal.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 300.0
"""How long a worker with a finished attempt waits for room or a lock to record it."""


class WorkerLoop(Generic[R]):
    """Runs one job after the other.

    Args:
        scheduler: of this worker.
        runner: the same that the scheduler starts attempts with.
        attention: what may interrupt waiting.
        clock: the time.
        settings: of the environment.
    """

    def __init__(
        self,
        scheduler: Scheduler[R],
        runner: Runner[R],
        attention: Attention,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._attention = attention
        self._clock = clock
        self._settings = settings

    def run(self) -> None:
        """Work until the queue has been empty for the linger time, or until asked to drain."""
        job = self._scheduler.next_job()
        while True:
            if job is None:
                job = None if self._attention.draining else self._linger()
                if job is None:
                    return
            try:
                running = self._scheduler.start_job(job)
                if isinstance(running, Ended):
                    job = self._settle(job, running)
                    continue
                try:
                    job = self._see_through(job, running)
                finally:
                    self._runner.discard(running)
            except OSError as trouble:
                log.error("in trouble with job %r: %s", job and job.job_id, trouble)
                if job is not None:
                    self._insist(self._give_back, job, f"trouble on worker: {trouble}")
                return

    def _give_back(self, job: Job, trouble: str) -> None:
        try:
            self._scheduler.give_back(job, trouble)
        except StaleToken as stale:
            log.info("%s", stale)

    def _linger(self) -> Job | None:
        """Wait for a job. The bell hangs before the first look, and the last look is after it
        was taken down, so that no ring falls in between."""
        give_up_at = self._clock.now() + self._settings.linger_s
        with self._attention.idle():
            while not self._attention.draining:
                if (job := self._scheduler.next_job()) is not None:
                    return job
                now = self._clock.now()
                if now >= give_up_at:
                    break
                next_due = self._scheduler.next_due()
                until = give_up_at if next_due is None else min(give_up_at, next_due)
                self._attention.wait(max(0.0, until - now))
        return None if self._attention.draining else self._scheduler.next_job()

    def _see_through(self, job: Job, running: R) -> Job | None:
        """Keep the lease while the attempt runs, end it when it must, settle it when it has."""
        timeout_s = self._scheduler.timeout_s(job)
        started_at = self._clock.now()
        renew_every_s = self._settings.lease_s / 3
        renew_at = started_at + renew_every_s
        timed_out_s = None
        while True:
            now = self._clock.now()
            wait_s = renew_at - now
            if timeout_s is not None:
                wait_s = min(wait_s, started_at + timeout_s - now)
            if self._runner.wait(running, max(0.0, wait_s)):
                break
            now = self._clock.now()
            if timeout_s is not None and now >= started_at + timeout_s:
                timed_out_s = timeout_s
                self._runner.stop(running)
                break
            try:
                job = self._insist(self._scheduler.keep_job, job)
            except StaleToken as stale:
                log.info("%s", stale)
                self._runner.stop(running)
                return self._next()
            renew_at = now + renew_every_s
        ended = self._runner.gather(running, timed_out_s)
        if job.spec.folder is not None:
            try:
                ended = self._insist(self._scheduler.stage_out, job, running, ended)
            except StaleToken as stale:
                log.info("%s", stale)
                return self._next()
        return self._settle(job, ended)

    def _settle(self, job: Job, ended: Ended) -> Job | None:
        take_next = not self._attention.draining
        try:
            return self._insist(self._scheduler.settle_job, job, ended, take_next=take_next)
        except StaleToken as stale:
            log.info("%s", stale)
            return self._next()

    def _next(self) -> Job | None:
        return None if self._attention.draining else self._scheduler.next_job()

    def _insist(self, action: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Do it; while the store is full or locked, try again for a while before giving up."""
        give_up_at = self._clock.now() + PATIENCE_S
        while True:
            try:
                return action(*args, **kwargs)
            except (StoreFull, StoreBusy) as error:
                if self._clock.now() >= give_up_at:
                    raise
                log.warning("%s; trying again", error)
                self._attention.wait(1.0)
