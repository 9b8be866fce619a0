"""A job as the table knows it: its spec, its counters, and one of three states.

A state carries just what is true in it: only a started job has a lease, only a finished one a
reason. So a job that is finished and leased can't be written down.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from shoal.core.spec import JobSpec

KEPT_DELIVERIES = 8
"""How many deliveries a job remembers; a queue that delivers twice does so soon."""


class Status(StrEnum):
    """What users see, everywhere."""

    QUEUED = "Queued"
    STARTED = "Started"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self not in (Status.QUEUED, Status.STARTED)


class Token(NamedTuple):
    """The fencing token of an attempt; written `run.attempt`."""

    run: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.run}.{self.attempt}"


class Lease(msgspec.Struct, frozen=True, gc=False):
    """Who owns a started job, since when and until when (seconds since the epoch)."""

    worker: str
    started_at: float
    until: float


class Queued(msgspec.Struct, frozen=True, gc=False):
    """Waiting to be claimed, not before a time (0: at once)."""

    not_before: float = 0.0


class Started(msgspec.Struct, frozen=True, gc=False):
    """Running on a worker under a lease."""

    lease: Lease


class Finished(msgspec.Struct, frozen=True, gc=False):
    """Over, with a status that is final, the reason for it, and the time."""

    status: Status
    reason: str
    exit_code: int | None
    finished_at: float


class Job(msgspec.Struct, frozen=True, gc=False):
    """The durable unit of work.

    Args:
        spec: what the user asked for.
        deliveries: names of the submissions its runs came from, the newest first, at most
            KEPT_DELIVERIES; the same one twice is one run, however late it comes.
        run: 1 for the first submission of this id, 2 for the second...
        attempt: how often this run was started.
        failures: attempts of this run that ended and were not confirmed; only these use up `retry`.
        interruptions: attempts of this run that ended because the worker went away.
        submitted_at: when this run was submitted, in seconds since the epoch.
        state: Queued, Started or Finished.
    """

    spec: JobSpec
    deliveries: tuple[str, ...]
    run: int
    attempt: int
    failures: int
    interruptions: int
    submitted_at: float
    state: Queued | Started | Finished

    @property
    def job_id(self) -> str:
        """Its name."""
        return self.spec.job_id

    @property
    def delivery_id(self) -> str:
        """The submission that its run came from."""
        return self.deliveries[0]

    @property
    def token(self) -> Token:
        """The fencing token of its last attempt."""
        return Token(self.run, self.attempt)

    @property
    def status(self) -> Status:
        """The state as users see it."""
        match self.state:
            case Queued():
                return Status.QUEUED
            case Started():
                return Status.STARTED
            case Finished(status=status):
                return status

    @property
    def retries(self) -> str:
        """Retries used of those allowed, as the original's table writes it."""
        return f"{min(self.failures, self.spec.retry)} of {self.spec.retry}"


class Ending(StrEnum):
    """How an attempt ended."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """The record of one attempt that ended. Times in seconds since the epoch."""

    run: int
    attempt: int
    worker: str
    started_at: float
    ended_at: float
    ending: Ending
    exit_code: int | None
    reason: str

    @property
    def token(self) -> Token:
        """The fencing token it reported with."""
        return Token(self.run, self.attempt)


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """One run that ended: a line on the finished or failed queue.

    Args:
        cursor: grows with every settlement; give it to read on from there.
        job_id: None for an object that intake refused; `job` names its key.
        job: the job's own JSON.
    """

    cursor: int
    job_id: str | None
    run: int
    status: Status
    reason: str
    settled_at: float
    job: str
