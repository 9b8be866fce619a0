"""Jobs as rows of the SQLite file, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shoal.core.errors import StoreDamaged
from shoal.core.job import (
    Attempt,
    Ending,
    Finished,
    Job,
    Lease,
    Queued,
    Settlement,
    Started,
    Status,
)
from shoal.core.spec import spec_json, stored_spec
from shoal.local.schema import DAMAGED_REMEDY

RUN_COLUMNS = "run, priority, submitted_at, deliveries, batch, spec"
STATE_COLUMNS = (
    "status, attempt, failures, interruptions, not_before,"
    " worker, started_at, lease_until, finished_at, reason, exit_code"
)
COLUMNS = f"{RUN_COLUMNS}, {STATE_COLUMNS}"
"""Of the table `job`, in the order of the rows here; `job_id` comes before where it is needed."""

ALL_COLUMNS = ", ".join(f"job.{name.strip()}" for name in COLUMNS.split(","))
"""The same, where other tables have columns of these names."""

FAR = 1e11
"""A time, in seconds since the epoch, that is none of ours: it lies in the year 5138."""

_STATUS_TEXTS = {Queued: "Queued", Started: "Started"}


def run_row(job: Job) -> tuple[Any, ...]:
    """What a new run sets, in the order of RUN_COLUMNS."""
    spec = job.spec
    names = "\n".join(job.deliveries)
    return (
        job.run,
        spec.priority,
        job.submitted_at,
        names,
        spec.batch or None,
        spec_json(spec),
    )


def state_row(job: Job) -> tuple[Any, ...]:
    """What each transition may change, in the order of STATE_COLUMNS."""
    state, counters = job.state, (job.attempt, job.failures, job.interruptions)
    if isinstance(state, Queued):
        return ("Queued", *counters, state.not_before, None, None, None, None, None, None)
    if isinstance(state, Started):
        lease = state.lease
        times = (lease.started_at, lease.until)
        return ("Started", *counters, 0.0, lease.worker, *times, None, None, None)
    end = (state.finished_at, state.reason, state.exit_code)
    return (state.status.value, *counters, 0.0, None, None, None, *end)


def guard(job: Job) -> tuple[Any, ...]:
    """What must still be so for a decision on this job to be written."""
    state = job.state
    status = _STATUS_TEXTS.get(type(state)) or job.status.value
    return (job.spec.job_id, status, job.run, job.attempt)


@contextmanager
def _as_written(what: str) -> Iterator[None]:
    """Say so when a row does not hold what we wrote."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"the row of {what} is damaged ({error})", DAMAGED_REMEDY) from error


def _check_numbers(*numbers: float) -> None:
    """Refuse what can't be a count or a time, down to numbers that aren't any."""
    for number in numbers:
        if not 0 <= number < FAR:
            raise ValueError(f"{number} is no count or time")


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def job_of(row: Sequence[Any]) -> Job:
    """A job from its row. Raises StoreDamaged."""
    try:  # not in a `with`, which costs as much again as the rest
        return _job_of(row)
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"the row of a job is damaged ({error})", DAMAGED_REMEDY) from error


def _job_of(row: Sequence[Any]) -> Job:
    run, _priority, submitted_at, deliveries, _batch, spec, status, attempt, failures = row[:9]
    interruptions, not_before, worker, started_at, lease_until, finished_at = row[9:15]
    _check_numbers(run + attempt + failures + interruptions, submitted_at, not_before)
    state: Queued | Started | Finished
    if status == "Queued":
        state = Queued(not_before)
    elif status == "Started":
        _check_numbers(started_at, lease_until)
        state = Started(Lease(worker, started_at, lease_until))
    else:
        _check_numbers(finished_at)
        state = Finished(Status(status), _text(row[15]), row[16], finished_at)
    counters = (attempt, failures, interruptions)
    names = tuple(deliveries.split("\n"))
    return Job(stored_spec(spec), names, run, *counters, submitted_at, state)


def attempt_row(attempt: Attempt) -> tuple[Any, ...]:
    """The record of an attempt, but for the row of its job."""
    return (
        attempt.run,
        attempt.attempt,
        attempt.worker,
        attempt.started_at,
        attempt.ended_at,
        attempt.ending.value,
        attempt.exit_code,
        attempt.reason,
    )


def attempt_of(
    run: int,
    attempt: int,
    worker: str,
    started_at: float,
    ended_at: float,
    ending: str,
    exit_code: int | None,
    reason: str,
) -> Attempt:
    """An attempt from its row. Raises StoreDamaged."""
    with _as_written("an attempt"):
        _check_numbers(run, attempt, started_at, ended_at)
        end = (ended_at, Ending(ending), exit_code, _text(reason))
        return Attempt(run, attempt, _text(worker), started_at, *end)


def settlement_of(
    cursor: int, job_id: str | None, run: int, status: str, reason: str, at: float, spec: str
) -> Settlement:
    """A settlement from its row. Raises StoreDamaged."""
    with _as_written("a settlement"):
        _check_numbers(run, at)
        name = None if job_id is None else _text(job_id)
        return Settlement(cursor, name, run, Status(status), _text(reason), at, _text(spec))
