"""The steps of one worker's scheduler, which its state machine calls.

State goes round as {worker, queue, group, generation, turns, next, job, idle}. Each function may
be called again with the same input, after a failure or a lost answer.
"""

from __future__ import annotations

import time
from typing import Any

from shoal.aws.fleet import ALIVE
from shoal.aws.functions.repair import give_back
from shoal.aws.functions.tokens import succeed
from shoal.aws.functions.wiring import (
    client,
    fleet,
    queue_facts,
    runner,
    scheduler,
    settings,
    variable,
)
from shoal.aws.functions.wiring import store as store_of
from shoal.aws.runner import WorkerGone
from shoal.aws.store import AwsStore
from shoal.aws.workers import Assignment
from shoal.core.confirm import Ended
from shoal.core.errors import JobNotFound, StaleToken
from shoal.core.job import Job, Started, Token

State = dict[str, Any]

LAST_TRY = 6
"""Of the tries that the state machine gives a function."""

SOON_S = 120.0
"""A retry that is due within this time is waited for: a new worker takes as long to start."""


class WorkerNotReady(Exception):
    """The instance does not answer SSM yet."""


class AttemptLost(Exception):
    """The job is cancelled, or in other hands."""


def await_worker(state: State, _: Any) -> State:
    """Whether the instance answers SSM.

    Raises:
        WorkerNotReady: not yet.
        WorkerGone: it never will.
    """
    worker = state["worker"]
    if _ping_status(worker) == "Online":
        return {}
    if not _is_alive(worker):
        raise WorkerGone(f"{worker} went away before it answered", "another one takes its place")
    raise WorkerNotReady(f"{worker} does not answer SSM yet")


def protect(state: State, _: Any) -> State:
    """Protect a worker from scale-in, when it is in a group."""
    queue_facts().enlist(state["queue"])
    if state["group"]:
        fleet().protect(state["worker"], state["group"])
    return {}


def next_job(state: State, _: Any) -> State:
    """Claim a job."""
    worker, store = state["worker"], store_of(state["queue"])
    if store.is_going(worker):
        return {"next": "retire", "job": None}
    # Called again, it may have claimed one the first time, and nobody heard of it.
    job = store.assigned(worker) if state.get("again") else None
    return _step(state, store, job or scheduler(worker, state["queue"]).next_job())


def run_job(state: State, _: Any) -> None:
    """Send the command of an attempt once; later, look whether it has ended.

    Raises:
        AttemptLost: there is no such attempt any more.
        WorkerGone: the worker does not answer.
    """
    worker, task_token = state["worker"], state["task_token"]
    store = store_of(state["queue"])
    job = _claimed(store, state)
    if job is None:
        _stop_strays(store, state)
        raise AttemptLost(f"job {state['job']['job_id']!r} is not {worker}'s any more")
    now = time.time()
    known = runner(state["queue"]).start(job, worker, task_token, now)
    if isinstance(known, Ended):
        succeed(task_token, {"problem": known.problem})
        return
    assert known.command_id is not None
    if known.sent_at == now:
        if _claimed(store, state) is None:  # cancelled or replaced while it was being sent
            _stop_strays(store, state)
            raise AttemptLost(f"job {job.job_id!r} was taken from {worker}")
        return
    if _is_renewal_due(job, now):
        try:
            store.renew(job, now, settings().lease_s)
        except StaleToken as stale:
            raise AttemptLost(str(stale)) from stale
    if runner(state["queue"]).has_ended(worker, known.command_id):
        succeed(task_token, {})
    elif _ping_status(worker) == "ConnectionLost":
        raise WorkerGone(f"{worker} has lost its connection", "its job goes to another worker")


def settle_job(state: State, _: Any) -> State:
    """Confirm and record how an attempt ended, and claim the next job."""
    worker, queue = state["worker"], state["queue"]
    store = store_of(queue)
    job = _claimed(store, state)
    if job is None and store.is_going(worker):
        return {"next": "retire", "job": None}
    if job is None:  # settled by a call whose answer was lost, or cancelled
        known = store.assigned(worker) if state.get("again") else None
        return _step(state, store, known or scheduler(worker, queue).next_job())
    assignment, leaves = store.look_at(worker)
    ended = _gather(state, job, assignment)
    if ended is None:
        return {"next": "run", "job": state["job"]}
    if ended.exit_code != 0 and not _is_alive(worker):
        # A machine that shuts down ends what runs on it: that says nothing about the job.
        raise WorkerGone(f"{worker} went away with its attempt", "the job goes to another worker")
    try:
        following = scheduler(worker, queue).settle_job(job, ended, take_next=not leaves)
    except StaleToken:
        following = None if leaves else scheduler(worker, queue).next_job()
    if leaves:
        return {"next": "retire", "job": None}
    return _step(state, store, following)


def retire(state: State, _: Any) -> State:
    """Give the worker's job back if it has one, and end the worker."""
    worker, queue = state["worker"], state["queue"]
    error = state.get("error") or {}
    reason = f"worker {worker} is gone"
    if error:
        reason = f"worker {worker}: {error.get('Error')}: {error.get('Cause', '')}"[:300]
    try:
        given_back = give_back(worker, queue, reason)
    finally:  # whatever is wrong with its job, no worker stays
        was = fleet().retire(worker)
    store_of(queue).workers.clear(worker, time.time())
    return {"worker": worker, "was": was, "given_back": given_back}


# --- pieces -------------------------------------------------------------------------------------


def _step(state: State, store: AwsStore, job: Job | None) -> State:
    """What the state machine is to do next."""
    if job is not None:
        named = {"job_id": job.job_id, "run": job.run, "attempt": job.attempt}
        return {"next": "run", "job": named, "idle": False}
    if store.is_paused():
        return {"next": "retire", "job": None}
    now = time.time()
    backlog = store.backlog(now, 1)
    if backlog.ready and store.has_messages():  # behind tickets that are worth nothing any more
        return {"next": "wait", "job": None, "wait_s": 1}
    next_due = backlog.next_due
    if next_due is not None and next_due - now <= SOON_S:
        return {"next": "wait", "job": None, "wait_s": max(1, int(next_due - now) + 1)}
    if state.get("idle"):
        return {"next": "retire", "job": None}
    return {"next": "wait", "job": None, "idle": True, "wait_s": int(variable("IDLE_S"))}


def _claimed(store: AwsStore, state: State) -> Job | None:
    """The job of a state, as long as this worker has it."""
    named = state["job"]
    try:
        job = store.job(named["job_id"])
    except JobNotFound:
        return None
    if job.token != (named["run"], named["attempt"]) or not isinstance(job.state, Started):
        return None
    return job if job.state.lease.worker == state["worker"] else None


def _gather(state: State, job: Job, assignment: Assignment | None) -> Ended | None:
    """How an attempt ended; None: it runs."""
    problem = (state.get("report") or {}).get("problem")
    if problem:
        return Ended(problem=problem, retry_helps=False)
    if assignment is None or assignment.command_id is None:
        return None  # woken too early, while the command is being sent
    if (assignment.job_id, assignment.token) != (job.job_id, str(job.token)):
        return None
    # SSM may be late with the output; only the last try has to do without.
    patient = int(state.get("again") or 0) < LAST_TRY
    return runner(state["queue"]).look(job, state["worker"], assignment.command_id, patient=patient)


def _ping_status(worker: str) -> str:
    """What SSM says of the agent on a worker; nothing when it does not know it."""
    found = client("ssm").describe_instance_information(
        Filters=[{"Key": "InstanceIds", "Values": [worker]}]
    )["InstanceInformationList"]
    return str(found[0].get("PingStatus", "")) if found else ""


def _is_alive(worker: str) -> bool:
    instance = fleet().find(worker)
    return instance is not None and instance.state in ALIVE


def _stop_strays(store: AwsStore, state: State) -> None:
    """End the command of an attempt that is not ours any more, if it runs."""
    named = state["job"]
    store.stop(named["job_id"], state["worker"], Token(named["run"], named["attempt"]))


def _is_renewal_due(job: Job, now: float) -> bool:
    assert isinstance(job.state, Started)
    return job.state.lease.until - now < settings().lease_s * 2 / 3
