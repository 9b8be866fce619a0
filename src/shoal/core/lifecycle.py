"""The life of a job: one table of transitions, and `decide`, which applies it.

Nothing else in Shoal changes a job's state. `decide` is pure: it takes a job and an event and
returns the job as it must be written, with the effects that follow from the write. A store makes
the write conditional on the job it read (state and fencing token), then carries out the effects.
Each effect can be derived again from the written job, so a crash in between heals.

An event that the table has no entry for is an error and leaves the job as it was. Events from a
worker carry the fencing token of their attempt; a token that is no longer the job's is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from shoal.core.confirm import Outcome
from shoal.core.errors import NotAllowed, StaleToken
from shoal.core.job import (
    KEPT_DELIVERIES,
    Attempt,
    Ending,
    Finished,
    Job,
    Lease,
    Queued,
    Started,
    Status,
    Token,
)
from shoal.core.spec import JobSpec

# --- events -------------------------------------------------------------------------------------


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """A submission arrived; `delivery_id` names it, so that a second delivery is recognised."""

    spec: JobSpec
    delivery_id: str


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A worker takes the job until a time."""

    worker: str
    lease_until: float


class Renewed(msgspec.Struct, frozen=True, gc=False):
    """The owner keeps the job for longer."""

    token: Token
    lease_until: float


class Exited(msgspec.Struct, frozen=True, gc=False):
    """The attempt ended and was judged; a retry is to wait `backoff_s` seconds."""

    token: Token
    outcome: Outcome
    backoff_s: float = 0.0


class Interrupted(msgspec.Struct, frozen=True, gc=False):
    """The worker went away, or could not do its part; more than `limit` of these fail the job."""

    token: Token
    reason: str
    limit: int
    delay_s: float = 0.0


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """A user wants the job to end."""

    reason: str = "cancelled"


class RetryAsked(msgspec.Struct, frozen=True, gc=False):
    """A user wants a job that failed or was cancelled to run again."""


REPORTS = (Renewed, Exited, Interrupted)
"""The events that come from a worker, and carry a fencing token."""

Event = Submitted | Claimed | Renewed | Exited | Interrupted | Cancelled | RetryAsked

# --- effects ------------------------------------------------------------------------------------


class Enqueue(msgspec.Struct, frozen=True, gc=False):
    """Make the job claimable, from `not_before` on."""

    not_before: float


class Settle(msgspec.Struct, frozen=True, gc=False):
    """A run is over: tell whoever listens (finished queue when Successful, else failed queue)."""

    spec: JobSpec
    run: int
    status: Status
    reason: str


class StopAttempt(msgspec.Struct, frozen=True, gc=False):
    """Make the worker end the attempt it is running."""

    worker: str
    token: Token


class StopBatch(msgspec.Struct, frozen=True, gc=False):
    """Cancel what is left of a batch, as one of its jobs was all that was wanted.

    From then on no job of it with `stop_on_success` may be claimed: it is cancelled instead.
    """

    batch: str
    reason: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """Keep the record of an attempt that ended."""

    attempt: Attempt


Effect = Enqueue | Settle | StopAttempt | StopBatch | Record


class Decision(NamedTuple):
    """The job as it must be written, and what follows. `job is` the old one: nothing changes."""

    job: Job
    effects: tuple[Effect, ...] = ()


_READY = Queued()
_AT_ONCE = (Enqueue(0.0),)

# --- what each transition does ------------------------------------------------------------------


def _queue_first_run(job: Job | None, event: Submitted, now: float) -> Decision:
    return Decision(_new_run(event.spec, (event.delivery_id,), 1, now), _AT_ONCE)


def _queue_next_run(job: Job, event: Submitted, now: float) -> Decision:
    if event.delivery_id in job.deliveries:
        return Decision(job)
    return Decision(_next_run(job, event, now), _AT_ONCE)


def _replace_run(job: Job, event: Submitted, now: float) -> Decision:
    if event.delivery_id in job.deliveries or _same_content(job.spec, event.spec):
        return Decision(job)
    new = _next_run(job, event, now)
    ended = _end_run(job, Status.CANCELLED, f"replaced by run {new.run}", now)
    return Decision(new, (*ended.effects, *_AT_ONCE))


def _claim(job: Job, event: Claimed, now: float) -> Decision:
    assert isinstance(job.state, Queued)
    if job.state.not_before > now:
        raise NotAllowed(f"job {job.job_id!r} backs off for now", "claim it when that is over")
    lease = Lease(event.worker, now, event.lease_until)
    return Decision(_with(job, Started(lease), attempt=job.attempt + 1))


def _renew(job: Job, event: Renewed, now: float) -> Decision:
    lease = _lease(job)
    renewed = Lease(lease.worker, lease.started_at, max(lease.until, event.lease_until))
    return Decision(_with(job, Started(renewed)))


def _settle(job: Job, event: Exited, now: float) -> Decision:
    outcome = event.outcome
    code, reason = outcome.exit_code, outcome.reason
    if outcome.confirmed:
        record = _record(job, Ending.SUCCESSFUL, code, reason, now)
        ended = _finish(job, Status.SUCCESSFUL, reason, code, now, record)
        if not job.spec.stop_on_success:
            return ended
        return Decision(ended.job, (*ended.effects, stop_batch(job.spec)))
    record = _record(job, Ending.FAILED, code, reason, now)
    failures = job.failures + 1
    if failures <= job.spec.retry and outcome.retry_helps:
        not_before = now + event.backoff_s if event.backoff_s > 0 else 0.0
        again = _with(job, Queued(not_before), failures=failures)
        return Decision(again, (record, Enqueue(not_before)))
    return _finish(
        _with(job, job.state, failures=failures), Status.FAILED, reason, code, now, record
    )


def _interrupt(job: Job, event: Interrupted, now: float) -> Decision:
    record = _record(job, Ending.INTERRUPTED, None, event.reason, now)
    interruptions = job.interruptions + 1
    counted = _with(job, job.state, interruptions=interruptions)
    if interruptions > event.limit:
        reason = f"interrupted {interruptions} times, last: {event.reason}"
        return _finish(counted, Status.FAILED, reason, None, now, record)
    not_before = now + event.delay_s if event.delay_s > 0 else 0.0
    return Decision(_with(counted, Queued(not_before)), (record, Enqueue(not_before)))


def _cancel(job: Job, event: Cancelled, now: float) -> Decision:
    return _end_run(job, Status.CANCELLED, event.reason, now)


def _retry(job: Job, event: RetryAsked, now: float) -> Decision:
    return Decision(_new_run(job.spec, job.deliveries, job.run + 1, now), _AT_ONCE)


# --- the table ----------------------------------------------------------------------------------


class Transition(NamedTuple):
    """One row: what may follow from an event in a status, and the function that says which."""

    apply: Callable[[Any, Any, float], Decision]
    leads_to: tuple[Status, ...]
    effect: str


_Q, _S = Status.QUEUED, Status.STARTED
_FINAL = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)

SUBMITTED_AGAIN = "run + 1; enqueue; the same delivery again: unchanged"

TRANSITIONS: dict[Status | None, dict[type, Transition]] = {
    None: {Submitted: Transition(_queue_first_run, (_Q,), "run 1; enqueue")},
    Status.QUEUED: {
        Submitted: Transition(_replace_run, (_Q,), "new content: run + 1, enqueue; else unchanged"),
        Claimed: Transition(_claim, (_S,), "attempt + 1, lease"),
        Cancelled: Transition(_cancel, (Status.CANCELLED,), "tell the listeners"),
    },
    Status.STARTED: {
        Submitted: Transition(
            _replace_run,
            (_Q, _S),
            "new content: run + 1, stop the attempt, enqueue; else unchanged",
        ),
        Renewed: Transition(_renew, (_S,), "lease later"),
        Exited: Transition(
            _settle,
            (Status.SUCCESSFUL, _Q, Status.FAILED),
            "confirmed: finished queue, with `stop_on_success` the rest of the batch is cancelled;"
            " retries left: enqueue after back-off; else: failed queue",
        ),
        Interrupted: Transition(
            _interrupt,
            (_Q, Status.FAILED),
            "interruptions + 1, enqueue; over the limit: failed queue",
        ),
        Cancelled: Transition(_cancel, (Status.CANCELLED,), "stop the attempt"),
    },
    Status.SUCCESSFUL: {
        Submitted: Transition(_queue_next_run, (_Q, Status.SUCCESSFUL), SUBMITTED_AGAIN),
    },
    Status.FAILED: {
        Submitted: Transition(_queue_next_run, (_Q, Status.FAILED), SUBMITTED_AGAIN),
        RetryAsked: Transition(_retry, (_Q,), "run + 1; enqueue"),
    },
    Status.CANCELLED: {
        Submitted: Transition(_queue_next_run, (_Q, Status.CANCELLED), SUBMITTED_AGAIN),
        RetryAsked: Transition(_retry, (_Q,), "run + 1; enqueue"),
    },
}


def decide(job: Job | None, event: Event, now: float) -> Decision:
    """Apply the transition table.

    Args:
        job: as it stands, or None when there is none of this id.
        event: what happened.
        now: the time, in seconds since the epoch.

    Returns:
        The job to write and the effects to carry out after the write.

    Raises:
        StaleToken: the event speaks for an attempt that is not, or no longer, running.
        NotAllowed: the job's state has no entry for this event.
    """
    if isinstance(event, REPORTS):
        _refuse_stale(job, event.token)
    status = job.status if job is not None else None
    transition = TRANSITIONS[status].get(type(event))
    if transition is None:
        raise _not_allowed(job, event)
    return transition.apply(job, event, now)


def _refuse_stale(job: Job | None, token: Token) -> None:
    if job is not None and isinstance(job.state, Started) and job.token == token:
        return
    name = repr(job.job_id) if job is not None else "unknown job"
    state = f"{job.status} with token {job.token}" if job is not None else "not there"
    raise StaleToken(
        f"report for {name} carries token {token}, but the job is {state}",
        "drop the report; the job is in other hands or over",
    )


_RETRY_REMEDIES = {
    Status.QUEUED: "it waits for a worker already",
    Status.STARTED: "cancel it first",
}


def _not_allowed(job: Job | None, event: Event) -> NotAllowed:
    if job is None:
        return NotAllowed("there is no such job", "submit it first")
    remedies = {
        Cancelled: "there is nothing left to cancel",
        RetryAsked: _RETRY_REMEDIES.get(job.status, "submit it again to start a new run"),
        Claimed: "take another job",
    }
    where = f" on {job.state.lease.worker}" if isinstance(job.state, Started) else ""
    what = f"job {job.job_id!r} is {job.status}{where} (run {job.run}, attempt {job.attempt})"
    return NotAllowed(what, remedies.get(type(event), "look at its status"))


# --- pieces -------------------------------------------------------------------------------------


def stop_batch(spec: JobSpec) -> StopBatch:
    """What the success of a job with `stop_on_success` leads to."""
    return StopBatch(spec.batch, f"job {spec.job_id!r} of batch {spec.batch!r} was successful")


def _new_run(spec: JobSpec, deliveries: tuple[str, ...], run: int, now: float) -> Job:
    return Job(spec, deliveries, run, 0, 0, 0, now, _READY)


def _next_run(job: Job, event: Submitted, now: float) -> Job:
    deliveries = (event.delivery_id, *job.deliveries)[:KEPT_DELIVERIES]
    return _new_run(event.spec, deliveries, job.run + 1, now)


def _same_content(old: JobSpec, new: JobSpec) -> bool:
    """A job folder's content is its executable, whose version the delivery names.

    The batch is no content: a job that waits already stays in the one that it came with.
    """
    if new.executable is not None or old.job_id != new.job_id:
        return False
    return old == new or msgspec.structs.replace(old, batch=new.batch) == new


def _with(
    job: Job,
    state: Queued | Started | Finished,
    *,
    attempt: int | None = None,
    failures: int | None = None,
    interruptions: int | None = None,
) -> Job:
    return Job(
        job.spec,
        job.deliveries,
        job.run,
        job.attempt if attempt is None else attempt,
        job.failures if failures is None else failures,
        job.interruptions if interruptions is None else interruptions,
        job.submitted_at,
        state,
    )


def _lease(job: Job) -> Lease:
    assert isinstance(job.state, Started)
    return job.state.lease


def _record(job: Job, ending: Ending, exit_code: int | None, reason: str, now: float) -> Record:
    lease = _lease(job)
    return Record(
        Attempt(
            job.run, job.attempt, lease.worker, lease.started_at, now, ending, exit_code, reason
        )
    )


def _finish(
    job: Job, status: Status, reason: str, exit_code: int | None, now: float, *before: Effect
) -> Decision:
    state = Finished(status, reason, exit_code, now)
    return Decision(_with(job, state), (*before, Settle(job.spec, job.run, status, reason)))


def _end_run(job: Job, status: Status, reason: str, now: float) -> Decision:
    """Finish a run that is queued or started, and stop its attempt if there is one."""
    if isinstance(job.state, Started):
        record = _record(job, Ending.CANCELLED, None, reason, now)
        stop = StopAttempt(job.state.lease.worker, job.token)
        return _finish(job, status, reason, None, now, record, stop)
    return _finish(job, status, reason, None, now)


def state_diagram() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2"]
    for status, row in TRANSITIONS.items():
        for event, transition in row.items():
            for target in transition.leads_to:
                lines.append(f"    {status or '[*]'} --> {target}: {event.__name__}")
    lines += [f"    {status} --> [*]" for status in _FINAL]
    return "\n".join(lines) + "\n"


def transition_table() -> str:
    """The table as Markdown, for the docs."""
    lines = ["| from | event | to | effect |", "|---|---|---|---|"]
    for status, row in TRANSITIONS.items():
        for event, transition in row.items():
            targets = " or ".join(transition.leads_to)
            lines.append(
                f"| {status or 'none'} | {event.__name__} | {targets} | {transition.effect} |"
            )
    return "\n".join(lines) + "\n"
