"""Metrics: lines of CloudWatch's embedded metric format, which cost no call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import time

from shoal.aws.functions.wiring import variable
from shoal.core.job import Finished, Job, Started, Status

NAMESPACE = "Shoal"


def emit(values: dict[str, float], queue: str | None = None, **facts: object) -> None:
    """Write a line with metrics of the scheduler, and of one of its queues.

    Args:
        values: by name; a name that ends in Seconds has that unit.
        queue: whose they are; None: they are of the scheduler as a whole.
        facts: more to find the line by.
    """
    names = {"Scheduler": variable("SCHEDULER")}
    if queue is not None:
        names["Queue"] = queue
    metrics = [
        {"Name": name, "Unit": "Seconds" if name.endswith("Seconds") else "Count"}
        for name in values
    ]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[*names]], "Metrics": metrics}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": about, **names, **values, **facts}), flush=True)  # noqa: T201


def attempt_ended(queue: str, before: Job, after: Job) -> None:
    """An attempt was settled."""
    assert isinstance(before.state, Started)
    name = "AttemptsRetried"
    ended_at = time.time()
    if isinstance(after.state, Finished) and after.run == before.run:
        ended_at = after.state.finished_at
        name = {Status.SUCCESSFUL: "JobsSuccessful", Status.FAILED: "JobsFailed"}.get(
            after.status, "JobsCancelled"
        )
    seconds = ended_at - before.state.lease.started_at
    emit(
        {name: 1, "AttemptSeconds": round(seconds, 3)},
        queue,
        job_id=before.job_id,
        token=str(before.token),
        worker=before.state.lease.worker,
    )


def interrupted(queue: str, worker: str) -> None:
    """A worker went away with a job."""
    emit({"Interruptions": 1}, queue, worker=worker)
    emit({"Interruptions": 1})
