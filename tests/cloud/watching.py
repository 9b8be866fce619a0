"""Stacks at work, and what tests wait for."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shoal.aws import names
from shoal.aws.settled import read_settlements
from shoal.aws.table import Table
from shoal.core.job import Settlement

from .machines import Machines
from .stacks import Deployed

LINUX_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
PARAMETERS = {
    "CommandType": "ShellScript",
    "TriggerSuffix": ".sh",
    "AMI": LINUX_IMAGE,
    "MaxInstancesAllowed": "4",
    "Retry": "2",
    "IdleSeconds": "1",
}

Item = dict[str, Any]


class Watched:
    """Deployed stacks with their machines.

    Args:
        stacks: the stacks.
        machines: of the account.
    """

    def __init__(self, stacks: Deployed, machines: Machines) -> None:
        self.stacks = stacks
        self.machines = machines

    # --- what users do ----------------------------------------------------------------------

    def put(self, key: str, body: bytes | str) -> None:
        """Upload an object, as any program of a user would."""
        content = body.encode() if isinstance(body, str) else body
        self.stacks.client("s3").put_object(Bucket=self.stacks.bucket, Key=key, Body=content)

    def send(self, job: dict[str, Any] | str, queue: str | None = None) -> None:
        """Put a job on a queue."""
        sqs = self.stacks.client("sqs")
        url = sqs.get_queue_url(QueueName=queue or self.stacks.queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=job if isinstance(job, str) else json.dumps(job))

    def drain(self, queue: str) -> list[dict[str, Any]]:
        """All messages of a queue, taken off it."""
        sqs = self.stacks.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found: list[dict[str, Any]] = []
        while True:
            answer = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            messages = answer.get("Messages", [])
            if not messages:
                return found
            for message in messages:
                found.append(message)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def drain_jobs(self, suffix: str) -> list[dict[str, Any]]:
        """The jobs on the finished or failed queue, taken off it."""
        return [json.loads(found["Body"]) for found in self.drain(self.stacks.queue + suffix)]

    # --- what users see ---------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """The table."""
        pages = self.stacks.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=names.jobs_table(self.stacks.scheduler)):
            for item in page["Items"]:
                if item["queue"]["S"] == self.stacks.queue:
                    yield item

    def item(self, job_id: str) -> Item:
        """The table's item of a job, read as the paper reads it."""
        found = self.stacks.client("dynamodb").get_item(
            TableName=names.jobs_table(self.stacks.scheduler), Key={"job_id": {"S": job_id}}
        )
        item: Item = found.get("Item", {})
        return item

    def status(self, job_id: str) -> str:
        """The status of a job, or nothing."""
        return str(self.item(job_id).get("Status", {}).get("S", ""))

    def statuses(self) -> Counter[str]:
        """How many jobs there are of each status."""
        return Counter(item["Status"]["S"] for item in self.items())

    def attempts(self) -> list[str]:
        """The records of all attempts that ended."""
        return [
            value["S"] for item in self.items() for value in item.get("attempts", {"L": ()})["L"]
        ]

    def settlements(self) -> list[Settlement]:
        """The stream of the queue."""
        table = Table(
            self.stacks.client("dynamodb"), names.records_table(self.stacks.scheduler), ("pk", "sk")
        )
        return read_settlements(table, self.stacks.queue, 0, 100_000, patience_s=0)

    def keys(self, prefix: str = "") -> list[str]:
        """The objects of the bucket."""
        pages = self.stacks.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.stacks.bucket, Prefix=prefix)
        return [entry["Key"] for page in found for entry in page.get("Contents", ())]

    def body(self, key: str) -> bytes:
        """What an object holds."""
        found = self.stacks.client("s3").get_object(Bucket=self.stacks.bucket, Key=key)
        content: bytes = found["Body"].read()
        return content

    def running(self) -> list[str]:
        """The executions that run, by name."""
        found = self.stacks.client("stepfunctions").list_executions(
            stateMachineArn=self.stacks.state_machine, statusFilter="RUNNING"
        )
        return [execution["name"] for execution in found["executions"]]

    # --- what tests wait for ----------------------------------------------------------------

    def until(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Wait for something, and fail with all that could explain why it does not come."""
        give_up_at = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() >= give_up_at:
                failures = self.stacks.emulator.hook("functions")["failures"]
                raise AssertionError(
                    f"after {timeout_s:g} s not: {what}; jobs {dict(self.statuses())}, running"
                    f" {self.running()}, function failures {json.dumps(failures[-3:])[-6000:]}"
                )
            time.sleep(0.2)

    def until_over(self, jobs: int, timeout_s: float) -> Counter[str]:
        """Wait until that many jobs are over, and all that worked on them is gone."""

        def is_over() -> bool:
            statuses = self.statuses()
            live = statuses["Queued"] + statuses["Started"]
            return live == 0 and statuses.total() == jobs

        self.until(is_over, timeout_s, f"{jobs} jobs over")
        self.until_quiet()
        return self.statuses()

    def until_quiet(self, timeout_s: float = 60.0) -> None:
        """Wait until no scheduler runs and no machine is alive."""

        def is_quiet() -> bool:
            return not self.running() and not self.machines.alive()

        self.until(is_quiet, timeout_s, "all schedulers ended, all machines gone")
        assert self.machines.violations == []


@contextmanager
def nothing_left(watched: Watched) -> Iterator[Watched]:
    """Inside, jobs run; after that, nothing is left over."""
    yield watched
    watched.until_quiet()
