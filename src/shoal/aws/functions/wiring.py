"""What the functions share: their settings from the environment, and the ports of a queue.

Made once in a function's process, and used again by its next calls.
"""

from __future__ import annotations

import os
import random
import time
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import boto3

from shoal.aws import names
from shoal.aws.fleet import Ec2Fleet
from shoal.aws.functions import metrics
from shoal.aws.queue_facts import QueueFacts
from shoal.aws.reader import CONFIG
from shoal.aws.runner import FleetFacts, SsmRunner
from shoal.aws.scripts import MAX_EXECUTION_S
from shoal.aws.store import AwsStore
from shoal.aws.table import Table
from shoal.aws.workers import Workers
from shoal.scheduler import Scheduler
from shoal.settings import Settings, load

FRESH_S = 60.0
"""How old what is known of a fleet may be."""


class SystemClock:
    """The time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


def variable(name: str) -> str:
    """What the template has set."""
    return os.environ[f"SHOAL_{name}"]


@cache
def session() -> Any:
    """Of boto3."""
    return boto3.Session()


@cache
def client(service: str) -> Any:
    """A client that repeats what may be repeated."""
    return session().client(service, config=CONFIG)


@cache
def settings() -> Settings:
    """Of this stack. A lease outlasts two looks at a running job."""
    lease_s = 3 * float(os.environ.get("SHOAL_TIMEOUT_JOB", "300")) + 300
    return load(Path("/nowhere"), os.environ, {"lease_s": lease_s}).settings


@cache
def store(queue: str) -> AwsStore:
    """The jobs of a queue."""
    scheduler = variable("SCHEDULER")
    is_fleet = queue_facts().get(queue) is not None
    return AwsStore(
        session(),
        names.jobs_table(scheduler),
        names.records_table(scheduler),
        queue,
        scale_queue=names.scale_queue(queue.removesuffix("-job-queue")) if is_fleet else None,
        observe=partial(metrics.observe, queue),
    )


@cache
def records_workers() -> Workers:
    """What the workers do."""
    table = names.records_table(variable("SCHEDULER"))
    return Workers(Table(client("dynamodb"), table, ("pk", "sk")))


@cache
def queue_facts() -> QueueFacts:
    """What is known of the queues that this scheduler serves."""
    return QueueFacts(client("dynamodb"), names.records_table(variable("SCHEDULER")))


def scheduler(worker: str, queue: str) -> Scheduler:
    """The scheduler of a worker."""
    return Scheduler(worker, store(queue), SystemClock(), settings(), random.random)


def runner(queue: str) -> SsmRunner:
    """What starts attempts on the workers of a queue, as its fleet was within the last minute."""
    return _runner(queue, int(time.time() // FRESH_S))


@lru_cache(maxsize=16)
def _runner(queue: str, _when: int) -> SsmRunner:
    name = variable("SCHEDULER")
    fleet = queue_facts().get(queue) or FleetFacts(None, "", MAX_EXECUTION_S)
    is_live = os.environ.get("SHOAL_LIVE_LOGS", "true") == "true"
    return SsmRunner(
        session(),
        store(queue).workers,
        fleet,
        queue,
        names.log_bucket(name, variable("ACCOUNT")),
        names.log_group(name) if is_live else None,
        f"aws:{queue.removesuffix('-job-queue')}@{session().region_name}",
    )


@cache
def fleet() -> Ec2Fleet:
    """The instances tagged for this scheduler."""
    return Ec2Fleet(session(), variable("SCHEDULER"))
