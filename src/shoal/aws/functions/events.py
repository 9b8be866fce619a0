"""What AWS tells: an instance runs, a command ended, a worker or its scheduler went away.

Events come once, twice or never, in any order. Each of these only brings forward what the sweep,
or the scheduler's own look, would do later.
"""

from __future__ import annotations

import json
import time
from typing import Any

from botocore.exceptions import ClientError

from shoal.aws.fleet import ALIVE, Instance
from shoal.aws.functions import tokens
from shoal.aws.functions.repair import give_back
from shoal.aws.functions.wiring import client, fleet, records_workers, variable
from shoal.aws.workers import SchedulerNote

Event = dict[str, Any]

STARTED_BEFORE = "ExecutionAlreadyExists"


def start_scheduler(event: Event, _: Any) -> str:
    """An instance runs: when it is tagged with just our name, it gets a scheduler."""
    instance = fleet().find(event["detail"]["instance-id"])
    if instance is None or instance.state not in ALIVE:
        return "not ours"
    return "started" if begin(instance) else "has one"


def begin(instance: Instance) -> bool:
    """Start the scheduler of an instance; False: it had one before.

    An execution's name can't be used again, so a second event starts no second scheduler.
    """
    workers = records_workers()
    note = workers.scheduler(instance.worker)
    if note is None:
        workers.enlist(SchedulerNote(instance.worker, instance.queue, instance.group))
    state = {
        "worker": instance.worker,
        "queue": instance.queue,
        "group": instance.group,
        "generation": 1,
        "turns": 0,
    }
    try:
        client("stepfunctions").start_execution(
            stateMachineArn=variable("STATE_MACHINE"),
            name=f"{instance.worker}-1",
            input=json.dumps(state),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != STARTED_BEFORE:
            raise
        return False
    return True


def command_ended(event: Event, _: Any) -> str:
    """An SSM command ended: the scheduler that waits for it goes on.

    Waking one too early does no harm: it looks before it believes.
    """
    detail = event["detail"]
    known = records_workers().get(detail["instance-id"])
    if known is None or known.command_id not in (None, detail["command-id"]):
        return "not ours"
    return "woken" if tokens.succeed(known.task_token, {}) else "nobody waits"


def worker_gone(event: Event, _: Any) -> str:
    """An instance is ending, or a scheduler ended badly: the job goes back, the worker ends."""
    detail = event["detail"]
    if event["source"] == "aws.states":
        state = json.loads(detail["input"])
        return repair(
            state["worker"],
            state["queue"],
            f"the scheduler of worker {state['worker']} was {detail['status']}",
            retires=True,
        )
    worker = detail["instance-id"]
    note = records_workers().scheduler(worker)
    if note is None:
        return "not ours"
    what = "gets a Spot interruption" if "instance-action" in detail else f"is {detail['state']}"
    return repair(worker, note.queue, f"worker {worker} {what}", retires=False)


def repair(worker: str, queue: str, reason: str, *, retires: bool) -> str:
    """Give a worker's job back, and end the worker, or its scheduler, which ends the worker.

    Args:
        worker: the instance.
        queue: whose jobs it runs.
        reason: what happened.
        retires: whether to end the worker here: it has no scheduler that will.
    """
    workers = records_workers()
    workers.mark_gone(worker)
    known = workers.get(worker)
    try:
        given_back = give_back(worker, queue, reason)
    finally:  # whatever is wrong with its job, no worker stays
        if retires:
            fleet().retire(worker)
            workers.clear(worker, time.time())
        elif known is not None:
            tokens.fail(known.task_token, "WorkerGone", reason)
    return f"{worker}: {given_back} given back"
