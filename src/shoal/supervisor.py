"""The supervisor of a local environment: intake, scaling, reaping.

Workers don't need it to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from shoal.core.backoff import backoff_s
from shoal.core.errors import SpecError, StoreBusy, StoreFull
from shoal.core.intake import plan_job
from shoal.core.job import Started, Status
from shoal.core.scaling import workers_to_launch, workers_wanted
from shoal.ports import Attention, Backlog, Clock, Fleet, Found, JobStore, Submission, Watch
from shoal.settings import Settings

log = logging.getLogger(__name__)

TROUBLE_S = 5.0

SHORTEST_S = 0.01
"""Between two looks, so that a flood of submissions does not make it one look each."""


class SupervisedFleet(Fleet, Protocol):
    """A fleet whose launches the supervisor answers for."""

    def take_failed(self) -> list[tuple[str, int]]:
        """Workers launched from here that ended badly since the last call: name, exit code."""
        ...

    def reclaim_lost(self) -> int:
        """Clear up after workers that are gone, with a job or without; returns how many."""
        ...


class Glance(NamedTuple):
    """What the supervisor saw when it last looked."""

    backlog: Backlog
    workers: int


class Supervisor:
    """Watches one environment.

    Args:
        store: its jobs.
        watch: its bucket.
        fleet: its workers.
        attention: what wakes the supervisor.
        clock: the time.
        settings: of the environment.
        check: says what is wrong with an executable's file, or None; part of intake that needs I/O.
        report: called with what the supervisor does, a line of text each.
    """

    def __init__(
        self,
        store: JobStore,
        watch: Watch,
        fleet: SupervisedFleet,
        attention: Attention,
        clock: Clock,
        settings: Settings,
        check: Callable[[Found], str | None],
        report: Callable[[str], None],
    ) -> None:
        self._store = store
        self._watch = watch
        self._fleet = fleet
        self._attention = attention
        self._clock = clock
        self._settings = settings
        self._check = check
        self._report = report
        self._reap_at = 0.0
        self._failed_launches = 0
        self._launch_at = 0.0
        self._workers = 0
        self._looked_at = 0.0
        self._idle_since: dict[str, float] = {}

    def run(self, *, until_idle: bool, is_done: Callable[[], bool] = lambda: True) -> None:
        """Supervise until asked to leave.

        Args:
            until_idle: return when all is done, and all workers are gone.
            is_done: whether what goes on beside it is done, too; who makes it so wakes this up.
        """
        while not self._attention.draining:
            now = self._clock.now()
            try:
                self.take_in(now)
                glance = self.look(now)
            except (StoreFull, StoreBusy) as trouble:
                # The workers wait for better times, and so do we; what was found is found again.
                log.error("%s; trying again", trouble)
                self._watch.look_again(now)
                self._attention.wait(TROUBLE_S)
                continue
            due = self._watch.next_look()
            is_idle = glance.backlog.is_empty and not glance.workers and due is None
            if until_idle and is_idle and is_done():
                return
            self._attention.wait(self._wait_s(glance, due, now))

    def take_in(self, now: float) -> int:
        """Turn the executables that have become complete into jobs; returns how many."""
        submissions = []
        for found in self._watch.take(now):
            try:
                if self._store.starts_no_job(found.key, found.version):
                    continue
                if problem := self._check(found):
                    raise SpecError(f"executable {found.key!a} {problem}", "upload it again")
                spec = plan_job(found.key, self._settings.intake_rules)
            except SpecError as refused:
                self._report(f"refused: {refused}")
                self._store.refuse(found.key, found.version, str(refused), now)
            else:
                submissions.append(Submission(spec, found.version))
        if not submissions:
            return 0
        accepted = self._store.submit(submissions, now).accepted
        if accepted:
            self._report(f"{accepted} new job{'s' * (accepted != 1)}")
        return accepted

    def look(self, now: float) -> Glance:
        """Reap what was lost and launch what is wanted."""
        self._note_failed_launches(now)
        if self._workers and now - self._looked_at > self._settings.lease_s:
            # This machine slept, and so did the workers: let them renew before judging leases.
            self._reap_at = now + self._settings.lease_s / 2
        self._looked_at = now
        if self._fleet.reclaim_lost():
            self._reap_at = 0.0
        backlog = self._store.backlog(now, self._settings.worker_limit)
        if backlog.started and now >= self._reap_at:
            if self.reap(now):
                backlog = self._store.backlog(now, self._settings.worker_limit)
            self._reap_at = now + SHORTEST_S * 10
        alive = self._fleet.size()
        if left := max(0, self._workers - alive):
            self._report(f"{left} worker{'s' * (left != 1)} left, {alive} in all")
        if not backlog.ready:
            self._idle_since = {}
        elif now >= self._launch_at:
            wanted = workers_wanted(backlog.ready, backlog.started, 1, self._settings.worker_limit)
            if more := workers_to_launch(wanted, alive - self._silent_workers(now)):
                self._fleet.launch(more)
                alive += more
                self._report(f"{more} worker{'s' * (more != 1)} started, {alive} in all")
        self._workers = alive
        return Glance(backlog, alive)

    def _silent_workers(self, now: float) -> int:
        """How many workers have had no job for a lease's time although jobs are ready.

        A worker takes the next job as it settles the last, and is woken for one while it lingers;
        so these are frozen, or hang, and others must do their part until they wake up.
        """
        started = self._store.jobs(statuses=[Status.STARTED])
        busy = {job.state.lease.worker for job in started if isinstance(job.state, Started)}
        idle = {worker.worker for worker in self._fleet.workers()} - busy
        self._idle_since = {worker: self._idle_since.get(worker, now) for worker in idle}
        lease_s = self._settings.lease_s
        return sum(now - since >= lease_s for since in self._idle_since.values())

    def reap(self, now: float) -> int:
        """Requeue the jobs of workers that are gone; returns how many."""
        reaped = self._store.reap(self._fleet.reclaim, now, self._settings.max_interruptions)
        for job in reaped:
            self._report(f"interrupted: job {job.job_id!r}, now {job.status}")
        return len(reaped)

    def _note_failed_launches(self, now: float) -> None:
        """A worker that can't start must not be launched over and over without a pause."""
        for worker, code in self._fleet.take_failed():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._report(f"worker {worker} ended by {how}")
            self._reap_at = 0.0
            if code > 0:
                self._failed_launches += 1
                self._launch_at = now + backoff_s(self._failed_launches, 0.5, 60.0, 0.0)
                log.error("worker %s failed with exit code %d; its log says why", worker, code)
        if self._launch_at + 60 < now:
            self._failed_launches = 0

    def _wait_s(self, glance: Glance, due: float | None, now: float) -> float | None:
        times = [time for time in (due, glance.backlog.next_due) if time is not None]
        if glance.backlog.started or glance.workers:
            times.append(now + self._settings.lease_s / 3)
        if glance.backlog.ready and now < self._launch_at:
            times.append(self._launch_at)
        return max(SHORTEST_S, min(times) - now) if times else None
