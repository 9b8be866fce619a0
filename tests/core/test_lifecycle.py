"""The transition table: what each event does to a job of each status, and what it never does."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.confirm import Outcome
from shoal.core.errors import NotAllowed, ShoalError, StaleToken
from shoal.core.job import Ending, Finished, Job, Queued, Started, Status
from shoal.core.lifecycle import (
    TRANSITIONS,
    Cancelled,
    Claimed,
    Decision,
    Enqueue,
    Event,
    Exited,
    Interrupted,
    Record,
    Renewed,
    RetryAsked,
    Settle,
    StopAttempt,
    StopBatch,
    Submitted,
    decide,
    state_diagram,
    transition_table,
)

from .jobs import EVENTS, FINAL, any_event, events, jobs, outcomes, times, tokens, waits

QUEUED, STARTED = Status.QUEUED, Status.STARTED
REPORTS = (Renewed, Exited, Interrupted)
ALLOWED: dict[Status | None, set[type]] = {
    None: {Submitted},
    QUEUED: {Submitted, Claimed, Cancelled},
    STARTED: {Submitted, Renewed, Exited, Interrupted, Cancelled},
    Status.SUCCESSFUL: {Submitted},
    Status.FAILED: {Submitted, RetryAsked},
    Status.CANCELLED: {Submitted, RetryAsked},
}


def outcome_of(job: Job | None, event: Event, now: float) -> Decision | ShoalError:
    """What is decided, or the named error; anything else is a failed test."""
    try:
        return decide(job, event, now)
    except (NotAllowed, StaleToken) as error:
        return error


@st.composite
def situations(draw: st.DrawFn) -> tuple[Job | None, Event, float]:
    """A job or none, an event, and the time."""
    job = draw(st.none() | jobs())
    return job, draw(any_event(job)), draw(times)


# --- the table as a whole -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("status", [None, *Status], ids=str)
def test_each_event_has_an_entry_or_is_a_named_error(status: Status | None, kind: type) -> None:
    """Every status takes the events that the design gives it, and refuses all others by name."""

    @settings(max_examples=15)
    @given(st.data(), times)
    def check(data: st.DataObject, now: float) -> None:
        job = None if status is None else data.draw(jobs(status))
        token = tokens if job is None else st.just(job.token)
        result = outcome_of(job, data.draw(events(kind, token)), now)
        if kind not in ALLOWED[status]:
            assert isinstance(result, StaleToken if kind in REPORTS else NotAllowed)
        elif isinstance(result, ShoalError):
            assert kind is Claimed
            assert job is not None
            assert isinstance(job.state, Queued)
            assert job.state.not_before > now
        elif result.job is not job:
            assert result.job.status in TRANSITIONS[status][kind].leads_to
        else:
            assert kind is Submitted

    check()


def test_the_table_lists_every_status() -> None:
    """The table has a row a status and one for no job, with the events of the design."""
    assert {status: {*row} for status, row in TRANSITIONS.items()} == ALLOWED


@given(situations())
def test_deciding_is_pure(situation: tuple[Job | None, Event, float]) -> None:
    """The same question gets the same answer, and nothing that was passed in is changed."""
    before = copy.deepcopy(situation)
    first = outcome_of(*situation)
    assert situation == before
    second = outcome_of(*copy.deepcopy(situation))
    if isinstance(first, ShoalError):
        assert (type(first), str(first)) == (type(second), str(second))
    else:
        assert first == second


@given(situations())
def test_effects_are_what_the_change_calls_for(situation: tuple[Job | None, Event, float]) -> None:
    """A run that ends is settled once, an attempt that ends is recorded once, a job that becomes
    claimable is enqueued once, and an attempt that somebody else ends is stopped: never more."""
    job, event, now = situation
    result = outcome_of(job, event, now)
    if isinstance(result, ShoalError):
        return
    new, effects = result
    if new is job:
        assert effects == ()
        return
    was_live = job is not None and not job.status.is_final
    run_ended = job is not None and was_live and (new.run > job.run or new.status.is_final)
    settled = [effect for effect in effects if isinstance(effect, Settle)]
    assert len(settled) == run_ended
    attempt_ended = (
        job is not None
        and isinstance(job.state, Started)
        and not (isinstance(new.state, Started) and new.token == job.token)
    )
    recorded = [effect.attempt for effect in effects if isinstance(effect, Record)]
    assert len(recorded) == attempt_ended
    enqueued = [effect for effect in effects if isinstance(effect, Enqueue)]
    assert len(enqueued) == (new.status is QUEUED)
    stopped = [effect for effect in effects if isinstance(effect, StopAttempt)]
    assert len(stopped) == (attempt_ended and isinstance(event, Submitted | Cancelled))
    if job is not None:
        for settle in settled:
            assert (settle.spec, settle.run) == (job.spec, job.run)
            assert settle.status in FINAL
        assert all(attempt.token == job.token for attempt in recorded)
        assert all(stop.token == job.token for stop in stopped)


@given(situations())
def test_counters_count_one_thing_each(situation: tuple[Job | None, Event, float]) -> None:
    """Only a claim adds an attempt, only an unconfirmed exit a failure, only an interruption an
    interruption, and a new run begins with none of them."""
    job, event, now = situation
    result = outcome_of(job, event, now)
    if isinstance(result, ShoalError) or job is None:
        return
    new = result.job
    if new.run != job.run:
        assert isinstance(event, Submitted | RetryAsked)
        assert new.run == job.run + 1
        assert (new.attempt, new.failures, new.interruptions) == (0, 0, 0)
        assert (new.state, new.submitted_at) == (Queued(), now)
        return
    failed = isinstance(event, Exited) and not event.outcome.confirmed
    assert new.attempt - job.attempt == isinstance(event, Claimed)
    assert new.failures - job.failures == failed
    assert new.interruptions - job.interruptions == isinstance(event, Interrupted)
    assert (new.spec, new.delivery_id, new.submitted_at) == (
        job.spec,
        job.delivery_id,
        job.submitted_at,
    )


@given(st.data(), st.lists(waits, max_size=20))
def test_no_sequence_of_events_loses_or_doubles_a_run(
    data: st.DataObject, pauses: list[float]
) -> None:
    """Whatever happens to a job, in any order: runs that began = runs settled + the live one."""
    job: Job | None = None
    now, settled, recorded = 1000.0, [], []
    for wait_s in pauses:
        now = max(0.0, now + wait_s)
        result = outcome_of(job, data.draw(any_event(job)), now)
        if isinstance(result, ShoalError):
            continue
        job = result.job
        settled += [effect.run for effect in result.effects if isinstance(effect, Settle)]
        recorded += [e.attempt.token for e in result.effects if isinstance(e, Record)]
    if job is None:
        return
    ended = job.run if job.status.is_final else job.run - 1
    assert settled == [*range(1, ended + 1)]
    assert len(set(recorded)) == len(recorded)
    assert len(recorded) >= job.attempt - (job.status is STARTED)


# --- tokens -------------------------------------------------------------------------------------


@given(jobs(), st.sampled_from(REPORTS), st.data(), times)
def test_a_report_with_another_token_is_stale(
    job: Job, kind: type, data: st.DataObject, now: float
) -> None:
    """A report whose token is not the job's is refused in every status, and names both."""
    token = data.draw(tokens.filter(lambda token: token != job.token))
    with pytest.raises(StaleToken) as caught:
        decide(job, data.draw(events(kind, st.just(token))), now)
    assert repr(job.job_id) in caught.value.what
    assert f"token {token}" in caught.value.what
    assert f"token {job.token}" in caught.value.what


@given(jobs(QUEUED, *FINAL), st.sampled_from(REPORTS), st.data(), times)
def test_a_report_for_a_job_that_is_not_started_is_stale(
    job: Job, kind: type, data: st.DataObject, now: float
) -> None:
    """The right token is of no use when the job is not running."""
    with pytest.raises(StaleToken):
        decide(job, data.draw(events(kind, st.just(job.token))), now)


@given(st.sampled_from(REPORTS), st.data(), times)
def test_a_report_for_no_job_is_stale(kind: type, data: st.DataObject, now: float) -> None:
    """A report for a job that is not there is refused like any late one."""
    with pytest.raises(StaleToken):
        decide(None, data.draw(events(kind)), now)


# --- single transitions -------------------------------------------------------------------------


@given(jobs(QUEUED), times, times)
def test_a_job_that_backs_off_is_not_claimed(job: Job, until: float, now: float) -> None:
    """A claim before the back-off is over is not allowed; from then on it is."""
    assert isinstance(job.state, Queued)
    result = outcome_of(job, Claimed("w", until), now)
    if job.state.not_before > now:
        assert isinstance(result, NotAllowed)
        return
    assert isinstance(result, Decision)
    assert isinstance(result.job.state, Started)
    lease = result.job.state.lease
    assert (lease.worker, lease.started_at, lease.until) == ("w", now, until)


@given(jobs(STARTED), times, times)
def test_renewing_only_ever_lengthens(job: Job, until: float, now: float) -> None:
    """A renewed lease ends no earlier than before, and is otherwise the same."""
    new = decide(job, Renewed(job.token, until), now).job
    assert isinstance(job.state, Started)
    assert isinstance(new.state, Started)
    old, lease = job.state.lease, new.state.lease
    assert lease.until == max(old.until, until)
    assert (lease.worker, lease.started_at) == (old.worker, old.started_at)


@given(jobs(STARTED), outcomes, waits, times)
def test_retry_is_for_failures_only(
    job: Job, outcome: Outcome, backoff_s: float, now: float
) -> None:
    """An exit is Successful when confirmed, Queued while retries are left, and Failed after."""
    new = decide(job, Exited(job.token, outcome, backoff_s), now).job
    if outcome.confirmed:
        assert new.state == Finished(Status.SUCCESSFUL, outcome.reason, outcome.exit_code, now)
    elif job.failures < job.spec.retry and outcome.retry_helps:
        assert new.state == Queued(now + backoff_s if backoff_s > 0 else 0.0)
    else:
        assert new.state == Finished(Status.FAILED, outcome.reason, outcome.exit_code, now)


@given(jobs(STARTED), st.integers(0, 8), waits, times)
def test_interruptions_fail_a_job_over_the_limit_only(
    job: Job, limit: int, delay_s: float, now: float
) -> None:
    """An interrupted job is Queued up to the limit, whatever its retries, and Failed beyond."""
    decision = decide(job, Interrupted(job.token, "spot", limit, delay_s), now)
    new = decision.job
    if job.interruptions + 1 <= limit:
        assert new.state == Queued(now + delay_s if delay_s > 0 else 0.0)
    else:
        assert isinstance(new.state, Finished)
        assert new.status is Status.FAILED
        assert "spot" in new.state.reason
        assert str(limit + 1 if job.interruptions == limit else job.interruptions + 1) in (
            new.state.reason
        )
    [record] = [effect for effect in decision.effects if isinstance(effect, Record)]
    assert record.attempt.ending is Ending.INTERRUPTED


@given(jobs(QUEUED, STARTED), times)
def test_live_jobs_take_new_content_only(job: Job, now: float) -> None:
    """A live job is replaced by other content; by the same delivery, or a direct job's same spec,
    it is not touched."""
    same = Submitted(job.spec, job.delivery_id)
    assert decide(job, same, now) == Decision(job)
    again = decide(job, Submitted(job.spec, "other"), now)
    assert (again.job is job) == (job.spec.executable is None)
    if job.spec.executable is not None:
        assert again.job.run == job.run + 1


@given(jobs(*FINAL), times)
def test_finished_jobs_take_every_new_delivery(job: Job, now: float) -> None:
    """A finished job runs again for a new delivery, though not for the one it came from."""
    assert decide(job, Submitted(job.spec, job.delivery_id), now).job is job
    assert decide(job, Submitted(job.spec, "other"), now).job.run == job.run + 1


@given(jobs(QUEUED, STARTED), times)
def test_cancelling_says_why(job: Job, now: float) -> None:
    """A cancelled job keeps the reason that was given."""
    new = decide(job, Cancelled("not needed"), now).job
    assert new.state == Finished(Status.CANCELLED, "not needed", None, now)


@given(situations())
def test_refusals_say_what_and_what_to_do(situation: tuple[Job | None, Event, float]) -> None:
    """Every refusal names the job with its status, if there is one, and a remedy."""
    job, event, now = situation
    result = outcome_of(job, event, now)
    if isinstance(result, ShoalError):
        assert result.remedy
        assert str(result) == f"{result.what}: {result.remedy}"
        if job is not None:
            assert repr(job.job_id) in result.what
            assert job.status in result.what or "backs off" in result.what


# --- what the docs are made from ----------------------------------------------------------------


def test_the_diagram_shows_every_transition() -> None:
    """The state diagram has an arrow for each event and each status it may lead to."""
    arrows = {line.strip() for line in state_diagram().splitlines()}
    for status, row in TRANSITIONS.items():
        for kind, transition in row.items():
            for target in transition.leads_to:
                assert f"{status or '[*]'} --> {target}: {kind.__name__}" in arrows


def test_the_table_for_the_docs_has_every_entry() -> None:
    """The Markdown table has a line for each entry of the table."""
    lines = transition_table().splitlines()
    assert len(lines) == 2 + sum(len(row) for row in TRANSITIONS.values())
    assert "| none | Submitted | Queued |" in lines[2]


@given(jobs(STARTED), outcomes, times)
def test_only_a_success_that_was_all_that_was_wanted_stops_a_batch(
    job: Job, outcome: Outcome, now: float
) -> None:
    """The rest of the batch is cancelled when a job with `stop_on_success` is confirmed."""
    decision = decide(job, Exited(job.token, outcome), now)
    stops = [effect for effect in decision.effects if isinstance(effect, StopBatch)]
    if outcome.confirmed and job.spec.stop_on_success:
        [stop] = stops
        assert stop.batch == job.spec.batch
        assert repr(job.job_id) in stop.reason
    else:
        assert stops == []
