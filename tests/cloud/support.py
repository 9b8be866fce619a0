"""What tests of real stacks do again and again: fill the bucket and the queues, wait, and look."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from boto3.dynamodb.types import TypeDeserializer

from shoal.aws.stacks.templates import Part

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, deploy

PARAMETERS = {
    "CommandType": "ShellScript",
    "TriggerSuffix": ".sh",
    "AMI": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "IdleSeconds": "1",
    "Retry": "0",
}
"""Of stacks for tests: Linux, and workers that leave soon."""

PATIENCE_S = 100.0
"""Nothing here takes so long, unless others use the machine as well."""

FINAL = ("Successful", "Failed", "Cancelled")

T = TypeVar("T")
_plain = TypeDeserializer()


def wait_until(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """What a condition returns once that is true; the test fails when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


@contextmanager
def standing(
    emulator: Emulator, name: str, part: Part | None, parameters: Mapping[str, str]
) -> Iterator[Deployed]:
    """Stacks that answer to events for as long as they are needed.

    All stacks of an account hear of all machines, so each one that stands costs every other time.
    """
    site = deploy(emulator, name, part, parameters)
    yield site
    put_out(emulator, site.scheduler, site.fleet)


def put_out(emulator: Emulator, *stacks: str) -> None:
    """Have stacks hear no event any more, and end the processes of their functions."""
    events = emulator.client("events")
    for page in events.get_paginator("list_rules").paginate():
        for rule in page["Rules"]:
            if rule["Name"].startswith(tuple(f"{stack}-" for stack in stacks)):
                events.disable_rule(Name=rule["Name"])
    emulator.hook("environment")


# --- in -----------------------------------------------------------------------------------------


def put_folder(
    site: Deployed, folder: str, executables: Mapping[str, str], **inputs: str
) -> list[str]:
    """Upload inputs, then executables, as any program does; the ids of the jobs."""
    s3 = site.client("s3")
    for name, content in {**inputs, **executables}.items():
        s3.put_object(Bucket=site.bucket, Key=f"{folder}/{name}", Body=content.encode())
    return [f"{folder}/{name}" for name in executables]


def send(site: Deployed, *jobs: dict[str, Any] | str, queue: str | None = None) -> None:
    """Put jobs (or any text) straight on a job queue, as any program does."""
    sqs = site.client("sqs")
    url = queue_url(site, queue or site.queue)
    for job in jobs:
        sqs.send_message(QueueUrl=url, MessageBody=job if isinstance(job, str) else json.dumps(job))


def scale_now(site: Deployed) -> None:
    """Have the fleet scaled as it is each minute: nobody tells it of jobs sent by others."""
    site.client("lambda").invoke(FunctionName=site.function("scale"), Payload=b"{}")


def queue_url(site: Deployed, queue: str) -> str:
    """A queue's address."""
    return str(site.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])


# --- what is there ------------------------------------------------------------------------------


def jobs(site: Deployed) -> dict[str, dict[str, Any]]:
    """All items of the jobs table, by job id, as plain values."""
    pages = site.client("dynamodb").get_paginator("scan")
    found = [
        {name: _plain.deserialize(value) for name, value in item.items()}
        for page in pages.paginate(TableName=f"{site.scheduler}-job-monitoring")
        for item in page["Items"]
    ]
    return {item["job_id"]: item for item in found}


def job(site: Deployed, job_id: str) -> dict[str, Any]:
    """A job's item, read as the original's users do; {} when there is none."""
    found = site.client("dynamodb").get_item(
        TableName=f"{site.scheduler}-job-monitoring",
        Key={"job_id": {"S": job_id}},
        ConsistentRead=True,
    )
    item = found.get("Item", {})
    return {name: _plain.deserialize(value) for name, value in item.items()}


def wait_for_jobs(
    site: Deployed,
    job_ids: Iterable[str],
    statuses: Collection[str] = FINAL,
    timeout_s: float = PATIENCE_S,
) -> dict[str, dict[str, Any]]:
    """The items of jobs, once each of them has one of the statuses."""
    wanted = list(job_ids)
    seen: dict[str, dict[str, Any]] = {}

    def all_there() -> bool:
        seen.update(jobs(site))
        return all(seen.get(name, {}).get("Status") in statuses for name in wanted)

    try:
        wait_until(all_there, f"{len(wanted)} jobs {'/'.join(statuses)}", timeout_s)
    except AssertionError as late:
        states = {name: seen.get(name, {}).get("Status") for name in wanted}
        left = {name[:80]: status for name, status in states.items() if status not in statuses}
        raise AssertionError(f"{late}: {left}") from None
    return {name: seen[name] for name in wanted}


def objects(site: Deployed, prefix: str = "") -> dict[str, bytes]:
    """The objects of the bucket whose keys begin so."""
    s3 = site.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=site.bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {key: s3.get_object(Bucket=site.bucket, Key=key)["Body"].read() for key in keys}


class Told(NamedTuple):
    """A message of a finished or failed queue."""

    body: str
    reason: str

    @property
    def job(self) -> Any:
        """What is in it; None when that is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def job_id(self) -> str | None:
        """Of the job, if it is one."""
        return self.job.get("job_id") if isinstance(self.job, dict) else None


def drain(site: Deployed, queue: str) -> list[Told]:
    """Take all messages off a queue."""
    sqs, url = site.client("sqs"), queue_url(site, queue)
    found = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            found.append(Told(message["Body"], attributes.get("reason", {}).get("StringValue", "")))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def depth(site: Deployed, queue: str) -> int:
    """How many messages a queue holds, those included that somebody looks at."""
    found = site.client("sqs").get_queue_attributes(
        QueueUrl=queue_url(site, queue), AttributeNames=["All"]
    )["Attributes"]
    return sum(
        int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed")
    )


# --- the end ------------------------------------------------------------------------------------


def executions(site: Deployed, status: str) -> list[str]:
    """The names of the scheduler's executions of a status."""
    pages = site.client("stepfunctions").get_paginator("list_executions")
    return [
        execution["name"]
        for page in pages.paginate(stateMachineArn=site.state_machine, statusFilter=status)
        for execution in page["executions"]
    ]


def come_to_rest(
    site: Deployed, machines: Machines, timeout_s: float = PATIENCE_S, expected: str = "\0"
) -> None:
    """Wait until no scheduler runs and no machine is there; assert that all went by the rules.

    Args:
        site: the stacks.
        machines: of the account.
        timeout_s: how long to wait.
        expected: in the text of errors that functions were meant to have.
    """

    def busy() -> tuple[list[str], list[str]]:
        alive = [machine.instance_id for machine in machines.alive() if _is_of(site, machine.tags)]
        return executions(site, "RUNNING"), alive

    wait_until(lambda: busy() == ([], []), f"{site.scheduler} at rest", timeout_s)
    assert machines.violations == [], machines.violations
    for status in ("FAILED", "TIMED_OUT", "ABORTED"):
        assert not (names := executions(site, status)), f"{status}: {names}"
    failures = machines.fleet.emulator.hook("functions")["failures"]
    ours = [of for of in failures if of["function"].startswith((f"{site.scheduler}-", site.fleet))]
    # A machine takes a moment to answer, which its scheduler hears as an error.
    known = ("WorkerNotReady", expected)
    unexpected = [of for of in ours if not any(text in of["error"] for text in known)]
    assert not unexpected, "\n".join(f"{of['function']}: {of['error']}" for of in unexpected)
    for stack in {site.scheduler, site.fleet}:
        assert not (number := depth(site, f"{stack}-dead-letters")), f"{number} dead in {stack}"


def _is_of(site: Deployed, tags: Mapping[str, str]) -> bool:
    return site.scheduler in tags
