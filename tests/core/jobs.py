"""Hypothesis strategies for jobs in any state, and for whatever may happen to them."""

from __future__ import annotations

from hypothesis import strategies as st

from shoal.core.confirm import Outcome
from shoal.core.job import Finished, Job, Lease, Queued, Started, Status, Token
from shoal.core.lifecycle import (
    Cancelled,
    Claimed,
    Event,
    Exited,
    Interrupted,
    Renewed,
    RetryAsked,
    Submitted,
)
from shoal.core.spec import JobSpec

FINAL = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)
EVENTS: tuple[type, ...] = (
    Submitted,
    Claimed,
    Renewed,
    Exited,
    Interrupted,
    Cancelled,
    RetryAsked,
)

times = st.floats(0, 2e9)
waits = st.floats(-10, 1e6)
words = st.text(max_size=8)
counters = st.integers(0, 5)
spec_list = (
    JobSpec("a", 0, commands=("true",)),
    JobSpec("a", 2, commands=("true",)),
    JobSpec("a", 2, commands=("false",), priority=1),
    JobSpec("a", 1, folder="f", executable="run.sh"),
    JobSpec("a", 1, commands=("true",), batch="b", stop_on_success=True),
)
delivery_ids = st.sampled_from(("d1", "d2"))
tokens = st.builds(Token, st.integers(1, 3), st.integers(0, 5))
leases = st.builds(Lease, words, times, times)
outcomes = st.one_of(
    st.builds(Outcome, st.just(True), words, st.just(0)),
    st.builds(Outcome, st.just(False), words, st.none() | st.integers(), st.booleans()),
)


def states(status: Status) -> st.SearchStrategy[Queued | Started | Finished]:
    """States that have this status."""
    if status is Status.QUEUED:
        return st.builds(Queued, st.just(0.0) | times)
    if status is Status.STARTED:
        return st.builds(Started, leases)
    return st.builds(Finished, st.just(status), words, st.none() | st.integers(), times)


def jobs(*statuses: Status) -> st.SearchStrategy[Job]:
    """Jobs of one of these statuses."""
    return st.builds(
        Job,
        spec=st.sampled_from(spec_list),
        deliveries=st.tuples(delivery_ids),
        run=st.integers(1, 3),
        attempt=counters,
        failures=counters,
        interruptions=counters,
        submitted_at=times,
        state=st.sampled_from(statuses or tuple(Status)).flatmap(states),
    )


def events(kind: type, token: st.SearchStrategy[Token] = tokens) -> st.SearchStrategy[Event]:
    """Events of one kind; those from workers carry one of the tokens."""
    made: dict[type, st.SearchStrategy[Event]] = {
        Submitted: st.builds(Submitted, st.sampled_from(spec_list), delivery_ids),
        Claimed: st.builds(Claimed, words, times),
        Renewed: st.builds(Renewed, token, times),
        Exited: st.builds(Exited, token, outcomes, waits),
        Interrupted: st.builds(Interrupted, token, words, st.integers(0, 6), waits),
        Cancelled: st.builds(Cancelled, words),
        RetryAsked: st.builds(RetryAsked),
    }
    return made[kind]


def any_event(job: Job | None = None) -> st.SearchStrategy[Event]:
    """Events of all kinds, often with the token of the job."""
    token = tokens if job is None else st.one_of(st.just(job.token), st.just(job.token), tokens)
    return st.sampled_from(EVENTS).flatmap(lambda kind: events(kind, token))
