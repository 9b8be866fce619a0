"""The audit of a stack: what was submitted is queued, started or over, exactly once, and every
worker has its scheduler."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from shoal.aws.account import aws_errors
from shoal.aws.edge import CONFIG
from shoal.aws.environment import list_workers
from shoal.aws.queues import Queue
from shoal.aws.s3 import Bucket
from shoal.aws.store import AwsStore
from shoal.aws.target import Target
from shoal.client_ports import Account, Finding
from shoal.core.errors import JobNotFound, SpecError
from shoal.core.intake import is_executable, plan_job
from shoal.core.job import Finished, Job, Queued, Settlement, Started, Status
from shoal.ports import Submission, Worker
from shoal.settings import Settings

PAGE = 1_000

SETTLE_S = 120.0
"""What is younger is still on its way: events take seconds, and the sweep comes each minute."""


class AwsDoctor:
    """A `client_ports.Doctor`.

    Args:
        target: the stack.
        store: its jobs.
    """

    def __init__(self, target: Target, store: AwsStore) -> None:
        self._target = target
        self._store = store
        self._sqs = target.session.client("sqs", config=CONFIG)
        self._now = time.time()

    def account(self) -> Account:
        jobs = self._store.jobs()
        ended = Counter(of.status for of in self._read_settlements() if of.job_id is not None)
        live = Counter(job.status for job in jobs)
        return Account(
            sum(job.run for job in jobs),
            *(ended[of] for of in (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)),
            *(live[of] for of in (Status.QUEUED, Status.STARTED)),
        )

    def examine(self) -> Iterator[Finding]:
        with aws_errors():
            yield from self._stack()
            yield from self._lost_and_doubled()
            yield from self._dead_letters()
            yield from self._orphaned_jobs()
            yield from self._orphaned_workers()
            yield from self._jobs_without_tickets()
            yield from self._executables_waiting()

    # --- what is there ----------------------------------------------------------------------

    @cached_property
    def _jobs(self) -> list[Job]:
        return self._store.jobs()

    @cached_property
    def _workers(self) -> list[Worker]:
        return list_workers(self._target)

    @cached_property
    def _schedulers(self) -> dict[str, float]:
        """When the scheduler of each worker was started."""
        pages = self._target.session.client("stepfunctions", config=CONFIG).get_paginator(
            "list_executions"
        )
        found = pages.paginate(
            stateMachineArn=self._target.state_machine_arn, statusFilter="RUNNING"
        )
        return {
            execution["name"].rpartition("-")[0]: execution["startDate"].timestamp()
            for page in found
            for execution in page["executions"]
        }

    def _read_settlements(self) -> Iterator[Settlement]:
        after = 0
        while found := self._store.settlements(after, PAGE):
            yield from found
            after = found[-1].cursor

    def _is_old(self, at: float) -> bool:
        return at < self._now - SETTLE_S

    # --- what is wrong ----------------------------------------------------------------------

    def _stack(self) -> Iterator[Finding]:
        stack = self._target.stack
        if stack.status.endswith("_FAILED") or stack.status == "ROLLBACK_COMPLETE":
            yield Finding(
                "damaged",
                f"stack {stack.name} is {stack.status}",
                f"'shoal deploy {stack.name}' brings it into order, or says what is in the way",
            )

    def _lost_and_doubled(self) -> Iterator[Finding]:
        settled = Counter((of.job_id, of.run) for of in self._read_settlements())
        for job in self._jobs:
            is_over = isinstance(job.state, Finished) and self._is_old(job.state.finished_at)
            if is_over and not settled[job.job_id, job.run]:
                yield Finding(
                    "lost",
                    f"job {job.job_id!r} run {job.run} is over, but is on no queue",
                    "the next minute's sweep puts it there, and so does 'shoal doctor --fix'",
                    lambda: self._store.tell_unsent(math.inf),
                )
        for (job_id, run), number in settled.items():
            if number > 1 and job_id is not None:
                yield Finding(
                    "doubled",
                    f"job {job_id!r} run {run} was settled {number} times",
                    "this is a defect of Shoal: please report it with the job's item",
                )

    def _dead_letters(self) -> Iterator[Finding]:
        """Messages that were received again and again, and never dealt with."""
        answer = self._sqs.get_queue_attributes(
            QueueUrl=Queue(self._sqs, self._target.queue).url, AttributeNames=["RedrivePolicy"]
        )
        policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "null"))
        if policy is None:
            return
        name = policy["deadLetterTargetArn"].rpartition(":")[2]
        if number := sum(Queue(self._sqs, name).depths().values()):
            yield Finding(
                "waiting",
                f"the dead-letter queue {name} holds {number} message{'s' * (number != 1)}",
                "look at them and at the functions' logs, then start a redrive of that queue",
            )

    def _orphaned_jobs(self) -> Iterator[Finding]:
        alive = {worker.worker for worker in self._workers}
        for job in self._jobs:
            if not isinstance(job.state, Started) or not self._is_old(job.state.lease.started_at):
                continue
            lease = job.state.lease
            if lease.worker not in alive:
                what = f"job {job.job_id!r} is Started on {lease.worker}, which is gone"
            elif lease.until <= self._now:
                what = (
                    f"job {job.job_id!r} is Started on {lease.worker}, which let the lease expire"
                )
            else:
                continue
            remedy = "the next minute's sweep queues it again, and so does 'shoal doctor --fix'"
            yield Finding("orphaned", what, remedy, self._reap)

    def _reap(self) -> None:
        alive = {worker.worker for worker in list_workers(self._target)}
        self._store.reap(lambda of: of not in alive, time.time(), Settings().max_interruptions)

    def _orphaned_workers(self) -> Iterator[Finding]:
        schedulers = self._schedulers
        for worker in self._workers:
            if worker.worker not in schedulers and self._is_old(worker.started_at):
                yield Finding(
                    "orphaned",
                    f"worker {worker.worker} has no scheduler",
                    "the next minute's sweep starts one; if it does not, look at the functions'"
                    " logs, and terminate the instance",
                )

    def _jobs_without_tickets(self) -> Iterator[Finding]:
        """Queued jobs that nobody can take, because the queue is empty."""
        waiting = [
            job
            for job in self._jobs
            if isinstance(job.state, Queued)
            and not job.state.not_before
            and not job.spec.priority
            and self._is_old(job.submitted_at)
        ]
        if waiting and not any(Queue(self._sqs, self._target.queue).depths().values()):
            yield Finding(
                "lost",
                f"{len(waiting):,} Queued job{'s' * (len(waiting) != 1)} can't be taken: the queue"
                f" {self._target.queue} is empty",
                "the sweep puts them there again, and so does 'shoal doctor --fix'",
                lambda: self._store.replace_tickets(time.time(), queued_for_s=0.0, again_s=0.0),
            )

    def _executables_waiting(self) -> Iterator[Finding]:
        if self._target.bucket is None:
            return
        bucket = Bucket(self._target.session, self._target.bucket)
        rules = self._target.intake_rules
        known = {job.job_id for job in self._jobs}
        for key in bucket.keys(""):
            if not is_executable(key, rules) or key in known:
                continue
            look = bucket.look(key)
            if look is None or look.mark or not self._is_old(look.changed_at):
                continue
            if self._store.starts_no_job(key, look.version):
                continue
            version = look.version
            yield Finding(
                "waiting",
                f"executable {key!r} is in the bucket, but no job",
                "'shoal doctor --fix' makes it one; the intake function's log may say why it is"
                " none",
                lambda key=key, version=version: self._take_in(key, version),  # type: ignore[misc]
            )

    def _take_in(self, key: str, version: str) -> None:
        try:
            self._store.job(key)
        except JobNotFound:
            pass
        else:
            return  # it was taken in meanwhile
        try:
            spec = plan_job(key, self._target.intake_rules)
        except SpecError as refused:
            self._store.refuse(key, version, str(refused), time.time())
        else:
            self._store.submit([Submission(spec, version)], time.time())
