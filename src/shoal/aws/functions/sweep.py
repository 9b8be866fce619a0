"""The sweep: each minute, what an event missed is put right."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shoal.aws.fleet import ALIVE, Instance
from shoal.aws.functions import metrics, tokens
from shoal.aws.functions.events import begin, repair
from shoal.aws.functions.wiring import (
    client,
    fleet,
    queue_facts,
    records_workers,
    settings,
    variable,
)
from shoal.aws.functions.wiring import store as store_of
from shoal.aws.store import AwsStore
from shoal.core.errors import ShoalError, StaleToken
from shoal.core.job import Started, Token

log = logging.getLogger(__name__)

STARTING_S = 90.0
"""A scheduler that was started within this time may not be listed yet."""

WAITING_S = 120.0
"""A queued job older than this has lost its ticket, if the queue is empty."""

AGAIN_S = 6 * 3600.0
"""A job that waits for longer behind others gets a ticket again; more than one does no harm."""

UNKNOWN_S = 180.0
"""A job that its worker has not begun in this time, its worker knows nothing of."""

LOOK_AFTER_S = 60.0
"""A command sent longer ago than this may have ended without an event."""

ENDED = ("Success", "Failed", "TimedOut", "Cancelled")

COUNTED = 100_000
"""Queued jobs that the metric counts: to count costs a read for each few hundred of them."""

LOOKS = 200
"""Commands looked at in one sweep: SSM has a limit on how often it is asked."""


def sweep(_: Any, __: Any) -> dict[str, int]:
    """Repair what events missed, and write the metrics of the minute."""
    done = {"started": 0, "ended": 0, "reaped": 0, "told": 0, "tickets": 0, "woken": 0}
    instances = {instance.worker: instance for instance in fleet().all()}
    running = dict(_running())
    done["started"], without = _start_missing(instances, running)
    done["ended"] = _end_orphans(instances, running)
    queues = {*queue_facts().queues(), *(instance.queue for instance in instances.values())}
    troubles: list[Exception] = []
    for queue in sorted(queues):
        try:
            _sweep_queue(queue, instances, done)
        except (ClientError, BotoCoreError, ShoalError) as trouble:  # the other queues go on
            log.exception("queue %s could not be swept", queue)
            troubles.append(trouble)
    alive = sum(instance.state in ALIVE for instance in instances.values())
    metrics.emit({"Workers": alive, "WorkersWithoutScheduler": without}, repaired=done)
    if troubles:
        raise troubles[0]
    return done


def _running() -> Iterator[tuple[str, str]]:
    """Workers that have a scheduler, with its execution."""
    pages = (
        client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(stateMachineArn=variable("STATE_MACHINE"), statusFilter="RUNNING")
    )
    for page in pages:
        for execution in page["executions"]:
            yield execution["name"].rpartition("-")[0], execution["executionArn"]


def _start_missing(instances: dict[str, Instance], running: dict[str, str]) -> tuple[int, int]:
    """Start the schedulers of workers that never had one; how many, and how many went without.

    A worker whose scheduler is gone is given back, in two steps: the first makes a scheduler that
    was only overlooked finish its job and end the worker itself.
    """
    now = time.time()
    missing = [
        instance
        for instance in instances.values()
        if instance.state in ALIVE and instance.worker not in running
    ]
    started = 0
    for instance in missing:
        note = records_workers().scheduler(instance.worker)
        if note is None:
            started += begin(instance)
        elif note.gone:
            reason = f"the scheduler of worker {instance.worker} is gone"
            repair(instance.worker, note.queue, reason, retires=True)
        elif instance.launched_at < now - STARTING_S:
            records_workers().mark_gone(instance.worker)
    return started, len(missing)


def _end_orphans(instances: dict[str, Instance], running: dict[str, str]) -> int:
    """End the schedulers of workers that are gone."""
    ended = 0
    for worker in running:
        instance = instances.get(worker)
        if instance is None or instance.state not in ALIVE:
            note = records_workers().scheduler(worker)
            if note is not None:
                repair(worker, note.queue, f"worker {worker} is gone", retires=False)
                ended += 1
    return ended


def _sweep_queue(queue: str, instances: dict[str, Instance], done: dict[str, int]) -> None:
    store = store_of(queue)
    now = time.time()
    if not store.has_queue():
        if all(instance.queue != queue for instance in instances.values()):
            queue_facts().forget(queue)  # its fleet was destroyed
        return

    def is_lost(worker: str) -> bool:
        instance = instances.get(worker)
        return instance is None or instance.state not in ALIVE

    done["reaped"] += len(store.reap(is_lost, now, settings().max_interruptions))
    done["told"] += store.tell_unsent()
    done["tickets"] += store.replace_tickets(now, queued_for_s=WAITING_S, again_s=AGAIN_S)
    done["woken"] += _wake_waiting(queue, now)
    queued, started = store.live_counts(COUNTED)
    metrics.emit({"JobsQueued": queued, "JobsStarted": started}, queue)


def _wake_waiting(queue: str, now: float) -> int:
    """Wake the schedulers whose command ended without an event; of many, some each minute."""
    store = store_of(queue)
    started = store.started_on_workers()
    woken = 0
    for job_id, token, worker in random.sample(started, min(LOOKS, len(started))):
        known = records_workers().get(worker)
        if known is None or (known.job_id, known.token) != (job_id, str(token)):
            _give_up_unknown(store, job_id, token, now)
        elif known.command_id is not None and known.sent_at < now - LOOK_AFTER_S:
            found = client("ssm").list_command_invocations(
                CommandId=known.command_id, InstanceId=worker
            )["CommandInvocations"]
            if any(command["Status"] in ENDED for command in found):
                woken += tokens.succeed(known.task_token, {})
    return woken


def _give_up_unknown(store: AwsStore, job_id: str, token: Token, now: float) -> None:
    """Put a job back whose claim got lost on the way to its worker, when it had time enough."""
    job = store.job(job_id)
    if not isinstance(job.state, Started) or job.token != token:
        return
    lease = job.state.lease
    if lease.started_at < now - UNKNOWN_S:
        reason = f"worker {lease.worker} never heard of it"
        try:
            store.interrupt(job, reason, now, settings().max_interruptions, 0.0)
        except StaleToken:
            pass  # it has moved on
