"""Metrics: lines of CloudWatch's embedded metric format, which cost no call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import sys
import time

from shoal.core.job import Finished, Job, Started

NAMESPACE = "Shoal"


def emit(values: dict[str, float], queue: str | None = None, **facts: object) -> None:
    """Write a line with metrics of the scheduler, and of one of its queues.

    Args:
        values: by name; a name that ends in Seconds has that unit.
        queue: whose they are; None: they are of the scheduler as a whole.
        facts: more to find the line by.
    """
    names = {"Scheduler": os.environ["SHOAL_SCHEDULER"]}
    if queue is not None:
        names["Queue"] = queue
    metrics = [
        {"Name": name, "Unit": "Seconds" if name.endswith("Seconds") else "Count"}
        for name in values
    ]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[*names]], "Metrics": metrics}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    # In one write: several threads may be at it.
    sys.stdout.write(json.dumps({"_aws": about, **names, **values, **facts}) + "\n")
    sys.stdout.flush()


def observe(queue: str, before: Job, after: Job) -> None:
    """A job changed: tell of an attempt that ended."""
    if not isinstance(before.state, Started) or isinstance(after.state, Started):
        return
    lease = before.state.lease
    facts = {"job_id": before.job_id, "token": str(before.token), "worker": lease.worker}
    if after.interruptions > before.interruptions:
        emit({"Interruptions": 1}, queue, **facts)
        emit({"Interruptions": 1})
        return
    name = "AttemptsRetried"
    if isinstance(after.state, Finished):
        name = f"Jobs{after.status}"
    elif after.run > before.run:
        name = "JobsCancelled"
    seconds = round(time.time() - lease.started_at, 3)
    emit({name: 1, "AttemptSeconds": seconds}, queue, **facts)
