"""The sweep: each minute, what an event missed is put right."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from shoal.aws.store import STOP_S, AwsStore
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

FINISH_S = 40.0
"""For how long the jobs that a queue's stopped batches have left are cancelled in one sweep."""

COUNTED = 100_000
"""Queued jobs that the metric counts: to count costs a read for each few hundred of them."""

LOOKS = 200
"""Commands looked at in one sweep: SSM has a limit on how often it is asked."""


def sweep(_: Any, __: Any) -> dict[str, int]:
    """Repair what events missed, and write the metrics of the minute."""
    return Sweep().run()


class Sweep:
    """One sweep. What goes wrong with one worker or queue does not keep it from the others."""

    def __init__(self) -> None:
        self._instances = {instance.worker: instance for instance in fleet().all()}
        self._running = dict.fromkeys(_running())
        self._found: dict[str, Instance | None] = {}
        self._done: Counter[str] = Counter()
        self._troubles: list[Exception] = []

    def run(self) -> dict[str, int]:
        """All of it.

        Raises:
            Exception: the first trouble there was, when everything else is done.
        """
        missing = [
            instance
            for instance in self._instances.values()
            if instance.state in ALIVE and instance.worker not in self._running
        ]
        for instance in missing:
            self._try(f"worker {instance.worker}", self._start_missing, instance)
        for worker in self._running:
            self._try(f"the scheduler of {worker}", self._end_orphan, worker)
        tagged = {instance.queue for instance in self._instances.values()}
        for queue in sorted({*queue_facts().queues(), *tagged}):
            self._try(f"queue {queue}", self._sweep_queue, queue)
        alive = sum(instance.state in ALIVE for instance in self._instances.values())
        metrics.emit(
            {"Workers": alive, "WorkersWithoutScheduler": len(missing)}, repaired=self._done
        )
        if self._troubles:
            raise self._troubles[0]
        return dict(self._done)

    def _try(self, what: str, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except (ClientError, BotoCoreError, ShoalError) as trouble:
            log.exception("trouble with %s", what)
            self._troubles.append(trouble)

    # --- workers and schedulers -------------------------------------------------------------

    def _start_missing(self, instance: Instance) -> None:
        """Start the scheduler of a worker that never had one.

        A worker whose scheduler is gone is given back, in two steps: the first makes a scheduler
        that was only overlooked finish its job and end the worker itself.
        """
        note = records_workers().scheduler(instance.worker)
        if note is None:
            self._done["started"] += begin(instance)
        elif note.gone:
            reason = f"the scheduler of worker {instance.worker} is gone"
            repair(instance.worker, note.queue, reason, retires=True)
        elif instance.launched_at < time.time() - STARTING_S:
            records_workers().mark_gone(instance.worker)

    def _end_orphan(self, worker: str) -> None:
        """End a scheduler whose worker is gone."""
        if not self._is_gone(worker):
            return
        note = records_workers().scheduler(worker)
        if note is not None:
            repair(worker, note.queue, f"worker {worker} is gone", retires=False)
            self._done["ended"] += 1

    def _is_gone(self, worker: str) -> bool:
        """Whether a worker is gone: one that is not on our list may have come since."""
        known = self._instances.get(worker)
        if known is not None and known.state in ALIVE:
            return False
        if worker not in self._found:
            self._found[worker] = fleet().find(worker)
        found = self._found[worker]
        return found is None or found.state not in ALIVE

    # --- queues -----------------------------------------------------------------------------

    def _sweep_queue(self, queue: str) -> None:
        store, now = store_of(queue), time.time()
        if not store.has_queue():
            if all(instance.queue != queue for instance in self._instances.values()):
                queue_facts().forget(queue)  # its fleet was destroyed
            return
        reaped = store.reap(self._is_gone, now, settings().max_interruptions)
        self._done["reaped"] += len(reaped)
        self._done["told"] += store.tell_unsent(now)
        self._done["tickets"] += store.replace_tickets(now, queued_for_s=WAITING_S, again_s=AGAIN_S)
        self._done["woken"] += _wake_waiting(queue, now)
        queued, started = store.live_counts(COUNTED)
        metrics.emit({"JobsQueued": queued, "JobsStarted": started}, queue)
        self._done["stopped"] += store.finish_stops(
            now, begun_before=now - 2 * STOP_S, for_s=FINISH_S
        )


def _running() -> Iterator[str]:
    """Workers that have a scheduler."""
    pages = client("stepfunctions").get_paginator("list_executions")
    arguments = {"stateMachineArn": variable("STATE_MACHINE"), "statusFilter": "RUNNING"}
    for page in pages.paginate(**arguments):
        for execution in page["executions"]:
            yield execution["name"].rpartition("-")[0]


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
