"""The ports: what a scheduler needs from an environment, in domain words.

Each environment brings its own implementation; `testing` brings one in memory. A store counts as
one when it passes the conformance suite in `shoal.testing.conformance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from shoal.core.confirm import Ended, Outcome
from shoal.core.job import Attempt, Job, Settlement, Status
from shoal.core.spec import JobSpec


class Submission(NamedTuple):
    """A spec, and the name of the delivery that brought it (the last run's again is no new run)."""

    spec: JobSpec
    delivery_id: str


class SubmitReport(NamedTuple):
    """What became of submissions: new runs, and those that were there already."""

    accepted: int
    unchanged: int


class Counts(msgspec.Struct, frozen=True):
    """How many jobs there are, by status. With a million jobs this takes a moment."""

    by_status: dict[Status, int]

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> Counts:
        """Count jobs that are at hand."""
        by_status = dict.fromkeys(Status, 0)
        for job in jobs:
            by_status[job.status] += 1
        return cls(by_status)

    def __str__(self) -> str:
        return ", ".join(f"{number:,} {status}" for status, number in self.by_status.items())

    @property
    def live(self) -> int:
        """Jobs that are not over."""
        return self.by_status[Status.QUEUED] + self.by_status[Status.STARTED]

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(self.by_status.values())


class Backlog(NamedTuple):
    """What scaling needs to know, and costs the same whatever the number of jobs.

    Args:
        ready: jobs that could be claimed now, counted up to a limit; none during a pause.
        started: jobs under a lease.
        next_due: when the next of those that back off becomes ready; None during a pause.
        held: queued jobs that a pause holds back, counted up to the same limit.
    """

    ready: int
    started: int
    next_due: float | None
    held: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self.next_due is None and not (self.ready or self.started or self.held)


class Order(StrEnum):
    """How a page of jobs is sorted."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    NAME_BACKWARDS = "name-backwards"
    ENDED = "ended"
    """Only jobs that are over: those first that ended last."""


class Query(NamedTuple):
    """Which jobs, and in which order.

    Args:
        pattern: a glob over their ids; None takes all.
        statuses: those wanted; none takes all.
        batch: the id of theirs; None takes all.
        order: of the pages.
    """

    pattern: str | None = None
    statuses: tuple[Status, ...] = ()
    batch: str | None = None
    order: Order = Order.NEWEST


class Page(NamedTuple):
    """A part of a list of jobs.

    Args:
        jobs: fewer than asked for, or none, where looking for more would have taken too long.
        after: where to go on; None: this was the last page.
    """

    jobs: list[Job]
    after: str | None


class JobStore(Protocol):
    """The job queue and the job table together. Every change goes through `core.lifecycle`.

    All methods raise StoreError when the store can't be used. Times are seconds since the epoch.
    """

    def submit(self, submissions: Iterable[Submission], now: float) -> SubmitReport:
        """Accept jobs; when it returns they survive a power cut."""
        ...

    def claim(self, worker: str, now: float, lease_s: float) -> Job | None:
        """Take the next job: highest priority, then oldest. None when none is ready or paused."""
        ...

    def renew(self, job: Job, now: float, lease_s: float) -> Job:
        """Keep a claimed job for longer. Raises StaleToken when it is ours no more."""
        ...

    def settle(
        self, job: Job, outcome: Outcome, now: float, backoff_s: float, next_lease_s: float | None
    ) -> Job | None:
        """Record how a claimed job's attempt ended, and claim the next one for the same worker.

        Args:
            job: as claimed or renewed.
            outcome: the verdict.
            now: the time.
            backoff_s: how long a retry is to wait.
            next_lease_s: lease of the next job; None takes none.

        Returns:
            The next job, or None.

        Raises:
            StaleToken: the job is ours no more; nothing was changed, and nothing claimed.
        """
        ...

    def interrupt(self, job: Job, reason: str, now: float, limit: int, delay_s: float) -> None:
        """Give a claimed job back because this worker can't do its part. Raises StaleToken."""
        ...

    def cancel(self, job_id: str, now: float) -> Job:
        """Cancel a job. Raises JobNotFound, NotAllowed."""
        ...

    def cancel_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        """Cancel those of the jobs that are not over yet; returns them."""
        ...

    def retry_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        """Queue those of the jobs again that failed or were cancelled; returns them."""
        ...

    def retry(self, job_id: str, now: float) -> Job:
        """Queue a failed or cancelled job again. Raises JobNotFound, NotAllowed."""
        ...

    def reap(self, is_lost: Callable[[str], bool], now: float, limit: int) -> list[Job]:
        """Requeue the jobs of lost workers and of expired leases; returns them as written."""
        ...

    def pause(self) -> None:
        """Let no job be claimed until `resume`. What runs goes on."""
        ...

    def resume(self) -> None:
        """End a pause."""
        ...

    def is_paused(self) -> bool:
        """Whether no job may be claimed."""
        ...

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        ...

    def jobs(
        self,
        pattern: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        """Jobs whose id matches a glob, in one of the statuses, of a batch, the newest ids first.

        A job that is submitted again keeps its place, here and in the order of claims.
        """
        ...

    @property
    def orders(self) -> tuple[Order, ...]:
        """What `page` can sort by."""
        ...

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        """A page of jobs, soon: however many jobs there are, and however few are meant.

        Args:
            query: what to look for, in one of `orders`.
            after: as the page before said; None begins.
            limit: the most jobs wanted.

        Raises:
            SpecError: `after` is not what a page of this order has said.
        """
        ...

    def attempts(self, job_id: str) -> list[Attempt]:
        """The attempts of a job that ended, over all runs, in order."""
        ...

    def attempts_of(self, jobs: Sequence[Job]) -> dict[str, list[Attempt]]:
        """The same for many jobs, by job id."""
        ...

    def recent(self, since: float, limit: int) -> list[Job]:
        """Jobs that run, or wait for another attempt, or of which a run ended since.

        Those that run come first, then those that wait, then those that ended last.
        """
        ...

    def counts(self, batch: str | None = None) -> Counts:
        """How many jobs there are, by status; of all, or of a batch."""
        ...

    def backlog(self, now: float, at_most: int) -> Backlog:
        """What there is to do, ready jobs counted up to `at_most`."""
        ...

    def settlements(self, after: int, limit: int) -> list[Settlement]:
        """The runs that ended after a cursor, in the order they did."""
        ...

    def record_results(self, job: Job, results: dict[str, str]) -> None:
        """Remember keys about to be staged out, with their versions, so that none starts a job.

        When it returns the record survives a power cut. Raises StaleToken when the job is ours
        no more: then they must not be staged out.
        """
        ...

    def results(self, job_id: str) -> list[str]:
        """The keys that a job's attempts have staged out."""
        ...

    def refuse(self, key: str, version: str, reason: str, now: float) -> None:
        """Put an object that can't become a job on the failed queue, once, with the reason."""
        ...

    def disarm(self, key: str, version: str) -> None:
        """Let this version of an object start no job by itself: somebody submits it by hand."""
        ...

    def starts_no_job(self, key: str, version: str) -> bool:
        """Whether this version of an object was staged out by an attempt, or refused."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class Found(NamedTuple):
    """An object in the bucket whose key says that it starts a job."""

    key: str
    version: str


class Watch(Protocol):
    """A look at what arrives in the bucket."""

    def take(self, now: float) -> list[Found]:
        """The executables that have become complete since the last call."""
        ...

    def look_again(self, now: float) -> None:
        """Let the next `take` find again what is there, because the last could not be used."""
        ...

    def next_look(self) -> float | None:
        """When to call `take` again if nothing else happens before; None: no need to."""
        ...


R = TypeVar("R")

Beat = Callable[[], object]
"""Called often during long work, to keep the lease. Raises StaleToken when the job is lost."""


def no_beat() -> None:
    """For work that no lease depends on."""


class Runner(Protocol[R]):
    """Runs attempts on one worker, R being what it knows of one under way.

    An OSError from it means that the worker is in trouble, not the job.
    """

    def start(self, job: Job, beat: Beat) -> R | Ended:
        """Stage in and start; what can't be started has ended already."""
        ...

    def wait(self, running: R, timeout_s: float) -> bool:
        """Wait until it has ended (True), or something wants attention or time is up (False)."""
        ...

    def stop(self, running: R) -> None:
        """End the whole process tree: ask, give it the grace time, then kill."""
        ...

    def gather(self, running: R, timed_out_s: float | None, beat: Beat) -> Ended:
        """The facts about an attempt that is over."""
        ...

    def results(self, running: R, beat: Beat) -> dict[str, str]:
        """Keys and versions of what is new or changed in the work folder. Raises BucketError."""
        ...

    def stage_out(self, running: R, beat: Beat) -> None:
        """Bring the results to the job folder, none without a beat before."""
        ...

    def discard(self, running: R) -> None:
        """Remove the work folder and whatever still runs in it."""
        ...


class Attention(Protocol):
    """What a process waits for besides its own work: a bell, a signal, the end of a child."""

    @property
    def draining(self) -> bool:
        """Whether it was asked to take nothing new and leave."""
        ...

    def wait(self, timeout_s: float | None) -> bool:
        """Return when something happened, or time is up; whether it was a bell."""
        ...

    def idle(self) -> AbstractContextManager[None]:
        """While inside, new jobs end a `wait`."""
        ...


class Worker(msgspec.Struct, frozen=True):
    """A worker that is alive.

    Args:
        worker: its name.
        pid: its process on this machine; None for a machine of its own.
        started_at: in seconds since the epoch.
        host: the machine.
    """

    worker: str
    pid: int | None
    started_at: float
    host: str


class Fleet(Protocol):
    """The workers of an environment."""

    def workers(self) -> list[Worker]:
        """Those alive now."""
        ...

    def size(self) -> int:
        """How many are alive or starting up."""
        ...

    def reclaim(self, worker: str) -> bool:
        """Whether a worker is certainly gone; if so, nothing it started runs any more."""
        ...

    def launch(self, count: int) -> None:
        """Start workers."""
        ...


class Clock(Protocol):
    """The time, passed in."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...
