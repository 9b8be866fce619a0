"""What all parts of the suite share: how they get a store, and short words for common steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from shoal.core.confirm import Outcome
from shoal.core.job import Attempt, Job, Settlement
from shoal.core.spec import spec_from_dict
from shoal.ports import Counts, JobStore, Submission

MakeStore = Callable[[str], JobStore]
"""Opens the jobs of that name: new ones at first, and with the same name again a second handle
on the same jobs, as another process would have it."""

NOW = 1_000_000.0
LEASE_S = 60.0
LIMIT = 3
"""More interruptions than this fail a job."""

GOOD = Outcome(True, "confirmed", 0)
BAD = Outcome(False, "exit code 3", 3)
HOPELESS = Outcome(False, "no such interpreter", None, retry_helps=False)


class StoreTests:
    """Base of every part of the suite."""

    exact_order = True
    """Whether jobs of equal priority are claimed just in their order, as well as about in it."""

    many, bulk = 1_500, 25_000
    """Jobs that are changed at once, and submitted at once; a slow backend may do with fewer."""

    @pytest.fixture
    def make_store(self) -> Iterator[MakeStore]:
        """The backend's way to open stores; what was opened is closed after the test."""
        raise NotImplementedError("a backend's test class has to override `make_store`")

    @pytest.fixture
    def store(self, make_store: MakeStore) -> JobStore:
        """A store without jobs."""
        return make_store("jobs")


def submission(job_id: str, delivery_id: str | None = None, **fields: Any) -> Submission:
    """A direct job, delivered under a name that follows from its id unless one is given."""
    fields = {"commands": ["true"], **fields}
    return Submission(
        spec_from_dict({"job_id": job_id, **fields}), delivery_id or f"delivery of {job_id}"
    )


def folder_submission(job_id: str, version: str) -> Submission:
    """A job from the bucket: its executable is its key, the delivery is the object's version."""
    folder, _, executable = job_id.rpartition("/")
    spec = spec_from_dict({"job_id": job_id, "folder": folder, "executable": executable})
    return Submission(spec, version)


def submit(store: JobStore, *job_ids: str, now: float = NOW, **fields: Any) -> None:
    """Submit direct jobs of those ids."""
    store.submit([submission(job_id, **fields) for job_id in job_ids], now)


def claim(store: JobStore, worker: str = "w1", now: float = NOW) -> Job:
    """Claim a job that has to be there."""
    job = store.claim(worker, now, LEASE_S)
    assert job is not None
    return job


def start(store: JobStore, job_id: str, worker: str = "w1", **fields: Any) -> Job:
    """Submit a job and claim it."""
    submit(store, job_id, **fields)
    job = claim(store, worker)
    assert job.job_id == job_id
    return job


def settle(store: JobStore, job: Job, outcome: Outcome = GOOD, now: float = NOW) -> None:
    """Settle a job, and claim no other."""
    assert store.settle(job, outcome, now, 0.0, None) is None


class Snapshot(NamedTuple):
    """All that a store says, to see that nothing changed."""

    jobs: list[Job]
    attempts: list[list[Attempt]]
    settlements: list[Settlement]
    counts: Counts
    paused: bool


def snapshot(store: JobStore) -> Snapshot:
    """Read everything."""
    jobs = store.jobs()
    return Snapshot(
        jobs,
        [store.attempts(job.job_id) for job in jobs],
        store.settlements(0, 1_000_000),
        store.counts(),
        store.is_paused(),
    )
