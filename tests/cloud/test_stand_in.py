"""Stopping, dying and stuttering: what the stand-in does as AWS would when things go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .emulator import Emulator
from .machines import Machine, Machines
from .parts import (
    BUCKET,
    CALLER,
    GROUP,
    call,
    ended,
    eventually,
    function,
    gone,
    may,
    refusal,
    role,
    send,
)

NAME = "stand-in"


@pytest.fixture
def heard(grouped: Emulator) -> Iterator[str]:
    """The URL of a queue that every event of Systems Manager reaches."""
    sqs, events = grouped.client("sqs"), grouped.client("events")
    url: str = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    events.put_rule(Name=NAME, EventPattern=json.dumps({"source": ["aws.ssm"]}))
    arn = f"arn:aws:sqs:{grouped.region}:{grouped.account}:{NAME}"
    events.put_targets(Rule=NAME, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    events.remove_targets(Rule=NAME, Ids=["queue"])
    events.delete_rule(Name=NAME)
    sqs.delete_queue(QueueUrl=url)


def receive(emulator: Emulator, url: str, count: int) -> list[dict[str, Any]]:
    """The details of this many events."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        answer = emulator.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        found.extend(json.loads(m["Body"])["detail"] for m in answer.get("Messages", []))
        return len(found) >= count

    eventually(look)
    return found


@pytest.fixture(scope="module")
def caller(emulator: Emulator) -> str:
    """The name of a function, and of its role, that makes any call that its role allows."""
    function(emulator, NAME, role(emulator, NAME, "lambda", []), CALLER)
    return NAME


def test_events_twice(grouped: Emulator, machines: Machines, worker: Machine, heard: str) -> None:
    """An event can reach its targets twice."""
    machines.duplicate_events = True
    command = send(grouped, worker, "exit 3")
    found = receive(grouped, heard, 2)
    assert [(e["command-id"], e["status"]) for e in found] == [(command, "Failed")] * 2


def test_events_late(grouped: Emulator, machines: Machines, worker: Machine, heard: str) -> None:
    """An event can come long after what it tells of."""
    machines.event_delay_s = 1.0
    command = send(grouped, worker, "true")
    ended(grouped, worker, command)
    end = time.monotonic()
    (event,) = receive(grouped, heard, 1)
    assert time.monotonic() - end > 0.7
    assert (event["command-id"], event["status"]) == (command, "Success")


def test_what_list_commands_tells(grouped: Emulator, machines: Machines, worker: Machine) -> None:
    """Commands are listed latest first, page by page, by id, status or time."""
    machines.ssm.page_size = 2
    sent = [send(grouped, worker, f"exit {code}") for code in (0, 1, 0)]
    for command in sent:
        ended(grouped, worker, command)
    pages = list(grouped.client("ssm").get_paginator("list_commands").paginate())
    assert [[c["CommandId"] for c in page["Commands"]] for page in pages] == [
        [sent[2], sent[1]],
        [sent[0]],
    ]

    def listed(**asked: Any) -> list[str]:
        return [c["CommandId"] for c in grouped.client("ssm").list_commands(**asked)["Commands"]]

    assert listed(CommandId=sent[0]) == [sent[0]]
    assert listed(Filters=[{"key": "Status", "value": "Failed"}]) == [sent[1]]
    assert listed(Filters=[{"key": "InvokedBefore", "value": "2020-01-01T00:00:00Z"}]) == []


def test_an_instance_that_is_stopped(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """A stopped instance runs nothing and takes nothing; its group replaces it."""
    command = send(grouped, worker, "echo $$; sleep 63")
    process = eventually(lambda: machines.sent()[0].process)
    grouped.client("ec2").stop_instances(InstanceIds=[worker.instance_id])
    eventually(lambda: machines.events.published["aws.ec2 stopped"])
    assert machines.events.published["aws.ec2 stopping"] == 1
    eventually(lambda: gone(process.pid))
    good: dict[str, Any] = {
        "InstanceIds": [worker.instance_id],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
    }
    assert refusal(grouped.client("ssm").send_command, **good) == "InvalidInstanceId"
    told = grouped.client("ssm").describe_instance_information()["InstanceInformationList"]
    pings = {known["InstanceId"]: known["PingStatus"] for known in told}
    # Its group may have ended it by now, and then it is not known any more.
    assert pings.get(worker.instance_id, "ConnectionLost") == "ConnectionLost"
    found = grouped.client("ssm").get_command_invocation(
        CommandId=command, InstanceId=worker.instance_id
    )
    assert found["Status"] == "InProgress"
    (second,) = eventually(lambda: machines.alive(GROUP))
    assert second is not worker
    eventually(lambda: machines.events.published["aws.ec2 terminated"])


def test_a_machine_dies_with_its_command(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """Nobody tells of the command's end: it stays in progress until both its timeouts are over."""
    command = send(
        grouped, worker, "sleep 62", TimeoutSeconds=30, parameters={"executionTimeout": ["60"]}
    )
    eventually(lambda: machines.sent()[0].process)
    machines.kill(worker.instance_id)
    assert eventually(lambda: machines.sent()[0].ended.is_set())

    def status() -> tuple[str, str, int]:
        found = grouped.client("ssm").get_command_invocation(
            CommandId=command, InstanceId=worker.instance_id
        )
        return found["Status"], found["StatusDetails"], found["ResponseCode"]

    assert status() == ("InProgress", "InProgress", -1)
    machines.sent()[0].requested -= 80
    assert status()[0] == "InProgress"
    machines.sent()[0].requested -= 10
    assert status() == ("TimedOut", "Delivery Timed Out", -1)
    assert not [name for name in machines.events.published if name.startswith("aws.ssm")]


def test_last_words(grouped: Emulator, machines: Machines, worker: Machine) -> None:
    """An agent may tell that its machine's shutdown killed a command, as if that had failed."""
    machines.last_words = True
    command = send(grouped, worker, "sleep 64")
    eventually(lambda: machines.sent()[0].process)
    grouped.client("ec2").terminate_instances(InstanceIds=[worker.instance_id])
    end = ended(grouped, worker, command)
    assert (end["Status"], end["ResponseCode"]) == ("Failed", -1)
    eventually(lambda: machines.events.published["aws.ssm Failed"] == 1)


def test_empty_output_is_not_uploaded(grouped: Emulator, worker: Machine) -> None:
    """Of an output that has not a byte the agent puts no object into the bucket."""
    command = send(
        grouped, worker, "echo only this", OutputS3BucketName=BUCKET, OutputS3KeyPrefix="empty"
    )
    ended(grouped, worker, command)
    found = grouped.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"empty/{command}/")
    assert [o["Key"].rpartition("/")[2] for o in found["Contents"]] == ["stdout"]


def test_commands_by_tag(grouped: Emulator, worker: Machine, caller: str) -> None:
    """A policy may allow commands on machines that have a tag, and on no others."""
    asked = {
        "service": "ssm",
        "call": "send_command",
        "arguments": {
            "InstanceIds": [worker.instance_id],
            "DocumentName": "AWS-RunShellScript",
            "Parameters": {"commands": ["true"]},
        },
    }
    for value, errors in (("other", ["AccessDeniedException"]), ("job-queue", [])):
        condition = {"StringEquals": {"ssm:resourceTag/harness": value}}
        document = "arn:aws:ssm:*::document/AWS-RunShellScript"
        send_command = {"Effect": "Allow", "Action": "ssm:SendCommand"}
        may(
            grouped,
            caller,
            [
                {**send_command, "Resource": "arn:aws:ec2:*:*:instance/*", "Condition": condition},
                {**send_command, "Resource": document},
            ],
        )
        assert call(grouped, caller, asked) == errors


def test_termination_by_tag(grouped: Emulator, worker: Machine, caller: str) -> None:
    """A policy may allow the end of instances that have a tag, and of no others."""
    asked = {
        "service": "ec2",
        "call": "terminate_instances",
        "arguments": {"InstanceIds": [worker.instance_id]},
    }
    for value, errors in (("other", ["UnauthorizedOperation"]), ("job-queue", [])):
        condition = {"StringEquals": {"aws:ResourceTag/harness": value}}
        terminate = {"Effect": "Allow", "Action": "ec2:TerminateInstances"}
        instances = "arn:aws:ec2:*:*:instance/*"
        may(grouped, caller, [{**terminate, "Resource": instances, "Condition": condition}])
        assert call(grouped, caller, asked) == errors
    eventually(lambda: not worker.alive)


def test_a_rules_call_is_repeated(grouped: Emulator) -> None:
    """A function that fails on an event is called with it twice more."""
    arn = function(
        grouped,
        "stand-in-fails",
        role(grouped, "stand-in-fails", "lambda", []),
        "def handle(event, context):\n    raise ValueError(event['detail']['text'])\n",
    )
    events = grouped.client("events")
    events.put_rule(Name="stand-in-fails", EventPattern=json.dumps({"source": ["harness.test"]}))
    events.put_targets(Rule="stand-in-fails", Targets=[{"Id": "function", "Arn": arn}])
    grouped.client("lambda").add_permission(
        FunctionName="stand-in-fails",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    entry = {"Source": "harness.test", "DetailType": "told", "Detail": json.dumps({"text": "no"})}
    events.put_events(Entries=[entry])

    def calls() -> float:
        found = grouped.hook("functions")["calls"].get("stand-in-fails", {})
        return float(found.get("errors", 0))

    eventually(lambda: calls() == 3, within_s=20)
    time.sleep(1.5)
    assert calls() == 3
    events.remove_targets(Rule="stand-in-fails", Ids=["function"])
    events.delete_rule(Name="stand-in-fails")
