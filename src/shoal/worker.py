"""The loop that drives a worker's scheduler inside a process, until there is nothing to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from shoal.core.confirm import Ended
from shoal.core.errors import StaleToken, StoreBusy, StoreFull
from shoal.core.job import Job
from shoal.ports import Attention, Clock, R, Runner
from shoal.scheduler import Heartbeat, Scheduler
from shoal.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 300.0
"""How long a worker with a finished attempt waits for room or a lock to record it."""


class WorkerLoop(Generic[R]):
    """Runs one job after the other.

    Args:
        scheduler: of this worker.
        runner: starts attempts on this worker.
        attention: what may interrupt waiting.
        clock: the time.
        settings: of the environment.
    """

    def __init__(
        self,
        scheduler: Scheduler,
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
        job = self._next()
        while job is not None or (job := self._linger()) is not None:
            try:
                job = self._work_on(job)
            except StaleToken as stale:
                log.info("%s", stale)
                job = self._next()
            except OSError as trouble:
                assert job is not None
                log.error("in trouble with job %r: %s", job.job_id, trouble)
                self._insist(self._give_back, job, f"trouble on worker: {trouble}")
                return

    def _work_on(self, job: Job) -> Job | None:
        """Run one attempt from start to record; returns the next job.

        Raises:
            StaleToken: the job was lost on the way; nothing of the attempt was recorded.
            OSError: the worker can't do its part.
        """
        heart = self._scheduler.heartbeat(job)
        running = self._runner.start(job, heart)
        if isinstance(running, Ended):
            return self._settle(heart.job, running)
        try:
            ended = self._see_through(heart, running)
            if job.spec.folder is not None:
                ended = self._insist(self._scheduler.stage_out, self._runner, heart, running, ended)
            return self._settle(heart.job, ended)
        finally:
            self._runner.discard(running)

    def _give_back(self, job: Job, trouble: str) -> None:
        try:
            self._scheduler.give_back(job, trouble)
        except StaleToken as stale:
            log.info("%s", stale)

    def _linger(self) -> Job | None:
        """Wait for a job.

        The bell hangs before the first look, and the last look is after it was taken down, so
        that no ring falls in between.
        """
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
        return self._next()

    def _see_through(self, heart: Heartbeat, running: R) -> Ended:
        """Keep the lease while the attempt runs, and end it when it must."""
        timeout_s = self._scheduler.timeout_s(heart.job)
        ends_at = None if timeout_s is None else self._clock.now() + timeout_s
        while True:
            until = heart.due_at if ends_at is None else min(heart.due_at, ends_at)
            if self._runner.wait(running, max(0.0, until - self._clock.now())):
                return self._runner.gather(running, None, heart)
            if ends_at is not None and self._clock.now() >= ends_at:
                self._runner.stop(running)
                return self._runner.gather(running, timeout_s, heart)
            try:
                heart.renew()  # time is up, or somebody rang: perhaps the job was cancelled
            except StaleToken:
                self._runner.stop(running)
                raise

    def _settle(self, job: Job, ended: Ended) -> Job | None:
        take_next = not self._attention.draining
        return self._insist(self._scheduler.settle_job, job, ended, take_next=take_next)

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
