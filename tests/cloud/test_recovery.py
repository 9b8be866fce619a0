"""Whatever goes away, comes twice or never comes: each job ends Successful once, no worker is left.

What is counted is what a job is charged with: `Retries` stays as it was, since it was never the
job's fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal.aws import names

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, as_user, deploy
from .watching import PARAMETERS, Watched

WAITS_FOR_FILE = "while ! test -e {go}; do sleep 0.1; done; echo done"


@pytest.fixture(scope="module")
def stacks(emulator: Emulator) -> Deployed:
    """A fleet of at most two, whose schedulers look for themselves after 5 s."""
    parameters = PARAMETERS | {"MaxInstancesAllowed": "2", "TimeoutJob": "5"}
    return deploy(emulator, "mend", None, parameters)


@pytest.fixture
def fleet(stacks: Deployed, machines: Machines) -> Iterator[Watched]:
    """The fleet with its machines; nothing of it is left after a test."""
    watched = Watched(stacks, machines)
    yield watched
    watched.until_quiet()
    watched.drain_jobs("-finished")


@pytest.fixture
def go(tmp_path: Any) -> Any:
    """A file that jobs wait for."""
    return tmp_path / "go"


def submit(fleet: Watched, job_id: str, command: str, **fields: Any) -> None:
    """A direct job, sent to the queue as users of the original do."""
    fleet.send({"job_id": job_id, "retry": "2", "commands": [command], **fields})
    nudge(fleet)


def nudge(fleet: Watched) -> None:
    """Have the fleet scaled now; the schedule would do it within the minute."""
    sqs = fleet.stacks.client("sqs")
    url = sqs.get_queue_url(QueueName=names.scale_queue(fleet.stacks.fleet))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")


def sweep(fleet: Watched) -> dict[str, Any]:
    """The minute's sweep, now."""
    answer = fleet.stacks.client("lambda").invoke(FunctionName=fleet.stacks.function("sweep"))
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "errorMessage" not in found, found
    return found


def until_running(fleet: Watched, job_id: str) -> str:
    """Wait until a job's command runs, and say where."""

    def runs() -> bool:
        return any(command.status == "InProgress" for command in fleet.machines.sent())

    fleet.until(lambda: fleet.status(job_id) == "Started" and runs(), 40, f"{job_id} runs")
    return str(fleet.item(job_id)["instance_id"]["S"])


def assert_successful_once(fleet: Watched, job_id: str, interruptions: int | None = None) -> None:
    """The job ended Successful, once, and was charged with nothing."""
    fleet.until(lambda: fleet.status(job_id) == "Successful", 60, f"{job_id} Successful")
    fleet.until_quiet()
    item = fleet.item(job_id)
    assert item["Retries"]["S"] == "0 of 2"
    assert item["failures"]["N"] == "0"
    if interruptions is not None:
        assert item["interruptions"]["N"] == str(interruptions)
    finished = [job["job_id"] for job in fleet.drain_jobs("-finished")]
    assert finished.count(job_id) == 1
    assert fleet.drain_jobs("-failed") == []


# --- workers --------------------------------------------------------------------------------------


def test_a_killed_worker_costs_its_job_nothing(fleet: Watched, go: Any) -> None:
    """A worker that dies mid-job: the job runs on another one, at once, uncounted."""
    submit(fleet, "killed", WAITS_FOR_FILE.format(go=go))
    worker = until_running(fleet, "killed")
    fleet.machines.kill(worker)
    fleet.until(lambda: fleet.item("killed")["interruptions"]["N"] == "1", 10, "given back")
    go.touch()
    assert_successful_once(fleet, "killed", interruptions=1)
    assert fleet.item("killed")["instance_id"]["S"] != worker


def test_a_worker_that_dies_unseen_is_found(fleet: Watched, go: Any) -> None:
    """When no event tells of a worker's end, the sweep finds out."""
    submit(fleet, "unseen", WAITS_FOR_FILE.format(go=go))
    worker = until_running(fleet, "unseen")
    fleet.machines.kill(worker, silently=True)
    sweep(fleet)
    go.touch()
    assert_successful_once(fleet, "unseen", interruptions=1)


def test_a_spot_warning_gives_the_job_back(fleet: Watched, go: Any) -> None:
    """Two minutes before a Spot instance goes, its job is queued again, and the worker ends."""
    submit(fleet, "warned", WAITS_FOR_FILE.format(go=go))
    worker = until_running(fleet, "warned")
    fleet.machines.warn(worker)
    fleet.until(lambda: fleet.item("warned")["interruptions"]["N"] == "1", 10, "given back")
    fleet.until(lambda: not fleet.machines.machine(worker).alive, 20, "the warned worker ended")
    go.touch()
    assert_successful_once(fleet, "warned", interruptions=1)


def test_last_words_of_a_dying_worker_do_not_count(fleet: Watched, go: Any) -> None:
    """A machine that shuts down in order reports its command as Failed: that is no failure."""
    fleet.machines.last_words = True
    submit(fleet, "last words", WAITS_FOR_FILE.format(go=go))
    worker = until_running(fleet, "last words")
    fleet.stacks.client("ec2").terminate_instances(InstanceIds=[worker])
    fleet.until(lambda: fleet.item("last words")["interruptions"]["N"] == "1", 20, "given back")
    fleet.machines.last_words = False
    go.touch()
    assert_successful_once(fleet, "last words", interruptions=1)


# --- schedulers -----------------------------------------------------------------------------------


def test_an_aborted_scheduler_is_cleaned_up_after(fleet: Watched, go: Any) -> None:
    """When somebody aborts an execution, its job goes back and its worker ends."""
    submit(fleet, "aborted", WAITS_FOR_FILE.format(go=go))
    worker = until_running(fleet, "aborted")
    [name] = [name for name in fleet.running() if name.startswith(worker)]
    arn = fleet.stacks.state_machine.replace(":stateMachine:", ":execution:")
    fleet.stacks.client("stepfunctions").stop_execution(executionArn=f"{arn}:{name}")
    fleet.until(lambda: not fleet.machines.machine(worker).alive, 20, "the worker ended")
    nudge(fleet)
    go.touch()
    assert_successful_once(fleet, "aborted", interruptions=1)


def test_a_worker_without_a_scheduler_gets_one(fleet: Watched) -> None:
    """An instance whose event was lost gets its scheduler from the sweep."""
    fleet.machines.drop_next_events(1, kind="aws.ec2 running")
    with fleet.stacks.unswept():
        submit(fleet, "late", "echo hello")
        fleet.until(lambda: fleet.machines.alive(), 20, "a machine")
        fleet.until(lambda: all(machine.online for machine in fleet.machines.alive()), 20, "online")
        assert fleet.running() == []
        assert sweep(fleet)["started"] == 1
    assert_successful_once(fleet, "late", interruptions=0)


# --- events ---------------------------------------------------------------------------------------


def test_a_lost_command_event_is_noticed(fleet: Watched) -> None:
    """When SSM does not tell that a command ended, the scheduler looks for itself."""
    fleet.machines.drop_next_events(1)
    submit(fleet, "silent", "echo hello")
    assert_successful_once(fleet, "silent", interruptions=0)


def test_a_command_event_may_come_twice(fleet: Watched) -> None:
    """A task token that is sent twice, and an event that comes late, change nothing."""
    fleet.machines.duplicate_events = True
    for number in range(4):
        submit(fleet, f"twice {number}", "echo hello")
    for number in range(4):
        fleet.until(lambda: fleet.status(f"twice {number}") == "Successful", 60, "Successful")  # noqa: B023
    fleet.machines.duplicate_events = False
    fleet.until_quiet()
    assert len(fleet.machines.sent()) == 4
    assert sorted(job["job_id"] for job in fleet.drain_jobs("-finished")) == [
        f"twice {number}" for number in range(4)
    ]


def test_uploads_may_be_told_twice_and_out_of_order(fleet: Watched) -> None:
    """What S3 says comes twice and late; each version of an executable runs once."""
    s3 = fleet.stacks.client("s3")
    key = "told/run.sh"
    old = s3.put_object(Bucket=fleet.stacks.bucket, Key=key, Body=b"#!/bin/sh\necho 1 >one\n")
    fleet.until(lambda: fleet.status(key) == "Successful", 60, "run 1")
    new = s3.put_object(Bucket=fleet.stacks.bucket, Key=key, Body=b"#!/bin/sh\necho 2 >two\n")
    fleet.until(
        lambda: fleet.item(key)["run"]["N"] == "2" and fleet.status(key) == "Successful",
        60,
        "run 2",
    )
    queue = names.default_queue(fleet.stacks.fleet).replace("-job-queue", "-intake")
    for version in (new, old, old):
        told = {
            "s3": {
                "bucket": {"name": fleet.stacks.bucket},
                "object": {"key": "told%2Frun.sh", "versionId": version["VersionId"]},
            }
        }
        fleet.send(json.dumps({"Records": [told]}), queue)
    sqs = fleet.stacks.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def is_empty() -> bool:
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(answer[name] == "0" for name in waiting)

    fleet.until(is_empty, 20, "intake has read all")
    fleet.until_quiet()
    assert fleet.item(key)["run"]["N"] == "2"
    assert len(fleet.machines.sent()) == 2
    assert len(fleet.drain_jobs("-finished")) == 2


def test_a_message_may_come_twice(fleet: Watched) -> None:
    """SQS delivers at least once: a message that comes again starts no second run."""
    sqs = fleet.stacks.client("sqs")
    url = sqs.get_queue_url(QueueName=fleet.stacks.queue)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
    fleet.stacks.emulator.hook("undeleted", {"count": 2})
    submit(fleet, "again", "echo hello")
    submit(fleet, "behind", "sleep 3")  # while it runs, the first message comes again
    fleet.until(lambda: fleet.status("again") == "Successful", 60, "Successful")
    fleet.until(lambda: fleet.status("behind") == "Successful", 60, "Successful")
    fleet.until_quiet()
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "90"})
    assert {fleet.item(job_id)["run"]["N"] for job_id in ("again", "behind")} == {"1"}
    assert len(fleet.machines.sent()) == 2
    finished = [job["job_id"] for job in fleet.drain_jobs("-finished")]
    assert sorted(finished) == ["again", "behind"]


# --- a search that is over ------------------------------------------------------------------------


def test_the_first_success_ends_a_batch(fleet: Watched, go: Any) -> None:
    """The rest is cancelled, whether it runs, waits or comes later; then the fleet goes to none."""
    command = '[ "$SHOAL_JOB_ID" = "hunt 1" ] || exec sleep 4321\n' + WAITS_FOR_FILE.format(go=go)
    fields = {"commands": [command], "batch": "hunt", "stop_on_success": True}
    ids = [f"hunt {number}" for number in range(12)]
    running, waiting, late = ids[:2], ids[2:10], ids[10:]
    before = len(fleet.settlements())

    def run_commands() -> int:
        return sum(command.status == "InProgress" for command in fleet.machines.sent())

    with as_user(fleet.stacks.emulator), shoal.connect(fleet.stacks.environment) as client:
        client.submit(*({"job_id": job_id, **fields} for job_id in running))
        fleet.until(lambda: run_commands() == 2, 60, "two run")
        client.submit(*({"job_id": job_id, **fields} for job_id in waiting))
        go.touch()
        fleet.until(lambda: client.counts("hunt").live == 0, 40, "the batch over")
    for job_id in late:
        fleet.send({"job_id": job_id, **fields})
    nudge(fleet)
    fleet.until(lambda: {fleet.status(of) for of in late} == {"Cancelled"}, 60, "no late ones")
    fleet.until_quiet()
    statuses = {job_id: fleet.status(job_id) for job_id in ids}
    assert statuses.pop("hunt 1") == "Successful"
    assert statuses == dict.fromkeys(statuses, "Cancelled")
    assert fleet.item("hunt 11")["reason"]["S"] == "job 'hunt 1' of batch 'hunt' was successful"
    assert len(fleet.machines.sent()) == 2
    assert [job["job_id"] for job in fleet.drain_jobs("-finished")] == ["hunt 1"]
    assert fleet.drain_jobs("-failed") == []
    assert sorted(str(line.job_id) for line in fleet.settlements()[before:]) == sorted(ids)

    records = {"TableName": names.records_table(fleet.stacks.scheduler)}
    key = {"pk": {"S": f"stopping {fleet.stacks.queue}"}, "sk": {"S": "hunt"}}
    dynamodb = fleet.stacks.client("dynamodb")
    dynamodb.update_item(
        **records,
        Key=key,
        UpdateExpression="SET begun_at = :long_ago",
        ConditionExpression="attribute_exists(reason)",
        ExpressionAttributeValues={":long_ago": {"N": "0"}},
    )
    sweep(fleet)
    assert "Item" not in dynamodb.get_item(**records, Key=key)
