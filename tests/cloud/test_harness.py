"""The harness of the cloud tests does what its users rely on."""

from __future__ import annotations

import json
import time
from typing import Any

from .emulator import Emulator
from .machines import Machine, Machines
from .parts import BUCKET, GROUP, LOGS, ended, eventually, function, gone, refusal, role, send


def test_a_group_launches_what_is_wanted(grouped: Emulator, worker: Machine) -> None:
    """A machine of a group has the group's propagated tags, and its template's type."""
    found = grouped.client("ec2").describe_instances(InstanceIds=[worker.instance_id])
    instance = found["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags == {"harness": "job-queue", "aws:autoscaling:groupName": GROUP}
    assert instance["InstanceType"] == "c7i.large"
    described = grouped.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[GROUP]
    )["AutoScalingGroups"][0]
    assert described["DesiredCapacity"] == 1
    assert [i["InstanceId"] for i in described["Instances"]] == [worker.instance_id]


def test_a_group_keeps_its_limits(grouped: Emulator, machines: Machines) -> None:
    """More than the maximum is refused, and so is an unknown group or instance."""
    scaling = grouped.client("autoscaling")
    for group, capacity in ((GROUP, 3), ("unknown", 1)):
        code = refusal(
            scaling.set_desired_capacity, AutoScalingGroupName=group, DesiredCapacity=capacity
        )
        assert code == "ValidationError"
    code = refusal(
        scaling.terminate_instance_in_auto_scaling_group,
        InstanceId="i-0123456789abcdef0",
        ShouldDecrementDesiredCapacity=True,
    )
    assert code == "ValidationError"


def test_a_group_replaces_a_machine_that_dies(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """A killed machine is replaced; one that is terminated with its capacity is not."""
    machines.kill(worker.instance_id)
    (second,) = eventually(lambda: [m for m in machines.alive(GROUP) if m.online])
    assert second.instance_id != worker.instance_id
    grouped.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=second.instance_id, ShouldDecrementDesiredCapacity=True
    )
    eventually(lambda: not machines.fleet.members(GROUP))
    assert machines.capacity(GROUP) == 0
    time.sleep(0.3)
    assert not machines.alive(GROUP)


def test_protected_machines_outlive_scale_in(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """Scale-in takes the unprotected machines only."""
    scaling = grouped.client("autoscaling")
    scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    eventually(lambda: len(machines.alive(GROUP)) == 2)
    scaling.set_instance_protection(
        AutoScalingGroupName=GROUP, InstanceIds=[worker.instance_id], ProtectedFromScaleIn=True
    )
    scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0)
    eventually(lambda: machines.alive(GROUP) == [worker])
    time.sleep(0.3)
    assert machines.alive(GROUP) == [worker]


def test_a_machine_launched_by_hand(grouped: Emulator, machines: Machines) -> None:
    """An instance that somebody launches gets an agent, and ends when it is terminated."""
    ec2 = grouped.client("ec2")
    launched = ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": "harness-worker"},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "harness", "Value": "q"}]}
        ],
    )["Instances"][0]["InstanceId"]
    machine = eventually(lambda: machines.fleet.machines.get(launched))
    eventually(lambda: machine.online)
    assert machine.tags == {"harness": "q"}
    ec2.terminate_instances(InstanceIds=[launched])
    eventually(lambda: machine.state == "terminated")
    assert machines.events.published["aws.ec2 running"] == 1
    eventually(lambda: machines.events.published["aws.ec2 terminated"] == 1)


def test_a_command_runs_as_a_process(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """Lines run as one script; its outputs and exit code are shown, its end is published."""
    command = send(grouped, worker, "x=out", "echo $x", "echo err >&2", "exit 7")
    end = ended(grouped, worker, command)
    assert (end["Status"], end["ResponseCode"]) == ("Failed", 7)
    assert (end["StandardOutputContent"], end["StandardErrorContent"]) == (
        "out\n",
        "err\nfailed to run commands: exit status 7\n",
    )
    eventually(lambda: machines.events.published["aws.ssm Failed"] == 1)
    assert machines.violations == []


def test_full_output_in_s3(grouped: Emulator, worker: Machine) -> None:
    """S3 holds all of the output, the API its first 24,000 characters."""
    command = send(
        grouped,
        worker,
        "#!/usr/bin/env bash",
        "printf 'x%.0s' {1..30000}; echo END",
        OutputS3BucketName=BUCKET,
        OutputS3KeyPrefix="job-queue",
    )
    assert len(ended(grouped, worker, command)["StandardOutputContent"]) == 24_000
    plugin = "awsrunShellScript/0.awsrunShellScript"
    key = f"job-queue/{command}/{worker.instance_id}/{plugin}/stdout"
    body = grouped.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert body == b"x" * 30_000 + b"END\n"


def test_output_while_it_runs(grouped: Emulator, worker: Machine) -> None:
    """Lines reach CloudWatch Logs before the command ends."""
    command = send(
        grouped,
        worker,
        "echo first; sleep 60",
        CloudWatchOutputConfig={
            "CloudWatchOutputEnabled": True,
            "CloudWatchLogGroupName": LOGS,
        },
    )

    def look() -> list[str]:
        try:
            found = grouped.client("logs").get_log_events(
                logGroupName=LOGS,
                logStreamName=f"{command}/{worker.instance_id}/aws-runShellScript/stdout",
            )
        except grouped.client("logs").exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]

    assert eventually(look) == ["first"]
    grouped.client("ssm").cancel_command(CommandId=command)
    assert ended(grouped, worker, command)["Status"] == "Cancelled"


def test_a_command_that_takes_too_long(grouped: Emulator, worker: Machine) -> None:
    """A command over its executionTimeout is ended, with all that it started."""
    command = send(
        grouped, worker, "sleep 61 & echo $!", "wait", parameters={"executionTimeout": ["1"]}
    )
    end = ended(grouped, worker, command)
    assert (end["Status"], end["StatusDetails"]) == ("TimedOut", "Execution Timed Out")
    eventually(lambda: gone(int(end["StandardOutputContent"])))


def test_what_send_command_refuses(grouped: Emulator, machines: Machines, worker: Machine) -> None:
    """A long comment, an unknown document and a machine that is not there are refused."""
    ssm = grouped.client("ssm")
    good: dict[str, Any] = {
        "InstanceIds": [worker.instance_id],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
    }
    assert refusal(ssm.send_command, **good | {"DocumentName": "None-Such"}) == "InvalidDocument"
    assert refusal(ssm.send_command, **good | {"InstanceIds": ["i-0123456789abcdef0"]}) == (
        "InvalidInstanceId"
    )
    machines.kill(worker.instance_id)
    assert refusal(ssm.send_command, **good) == "InvalidInstanceId"


def test_a_machine_acts_under_its_own_role(grouped: Emulator, worker: Machine) -> None:
    """The real AWS command line works in scripts, within what the machine's role allows."""
    command = send(
        grouped,
        worker,
        "mkdir -p $SHOAL_ROOT/a && echo hello > $SHOAL_ROOT/a/b && cd $SHOAL_ROOT",
        f"aws s3 sync --only-show-errors a s3://{BUCKET}/synced || exit 9",
        f"echo streamed | aws s3 cp - s3://{BUCKET}/synced/c",
        "aws dynamodb list-tables",
    )
    end = ended(grouped, worker, command)
    assert end["Status"] == "Failed", end
    assert "AccessDenied" in end["StandardErrorContent"]
    s3 = grouped.client("s3")
    assert s3.get_object(Bucket=BUCKET, Key="synced/b")["Body"].read() == b"hello\n"
    assert s3.get_object(Bucket=BUCKET, Key="synced/c")["Body"].read() == b"streamed\n"


def test_a_function_is_held_to_its_role(grouped: Emulator, worker: Machine) -> None:
    """A function may do what its role allows and nothing else, at the stand-in too."""
    code = (
        "import boto3, json\n"
        "def handle(event, context):\n"
        "    client = boto3.client(event['service'])\n"
        "    try:\n"
        "        getattr(client, event['call'])(**event['arguments'])\n"
        "    except client.exceptions.ClientError as error:\n"
        "        return error.response['Error']['Code']\n"
        "    return 'ok'\n"
    )
    instance = f"arn:aws:ec2:*:*:instance/{worker.instance_id}"
    arn = role(
        grouped,
        "harness-function",
        "lambda",
        [
            {"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": "ssm:SendCommand",
                "Resource": [instance, "arn:aws:ssm:*::document/AWS-RunShellScript"],
            },
        ],
    )
    function(grouped, "harness-caller", arn, code)

    def call(service: str, name: str, **arguments: Any) -> str:
        event = {"service": service, "call": name, "arguments": arguments}
        answer = grouped.client("lambda").invoke(
            FunctionName="harness-caller", Payload=json.dumps(event)
        )
        return str(json.load(answer["Payload"]))

    assert call("sqs", "list_queues") == "ok"
    assert "AccessDenied" in call("sqs", "create_queue", QueueName="x")
    script = {"Parameters": {"commands": ["true"]}, "InstanceIds": [worker.instance_id]}
    assert call("ssm", "send_command", DocumentName="AWS-RunShellScript", **script) == "ok"
    refused = call("ssm", "send_command", DocumentName="AWS-RunPowerShellScript", **script)
    assert refused == "AccessDeniedException"
    assert call("autoscaling", "describe_auto_scaling_groups") == "AccessDenied"


def test_events_can_be_lost_and_doubled(
    grouped: Emulator, machines: Machines, worker: Machine
) -> None:
    """A dropped event is published nowhere; others arrive."""
    machines.drop_next_events(1)
    ended(grouped, worker, send(grouped, worker, "true"))
    eventually(lambda: machines.events.dropped)
    assert machines.events.published["aws.ssm Success"] == 0
    ended(grouped, worker, send(grouped, worker, "true"))
    eventually(lambda: machines.events.published["aws.ssm Success"] == 1)


def test_the_stand_in_is_quick(grouped: Emulator, machines: Machines, worker: Machine) -> None:
    """From SendCommand to the event of its end a short command takes a few hundredths."""
    took = []
    for _ in range(10):
        before = machines.events.published["aws.ssm Success"]
        start = time.monotonic()
        send(grouped, worker, "true")
        while machines.events.published["aws.ssm Success"] == before:
            time.sleep(0.001)
        took.append(time.monotonic() - start)
    took.sort()
    print(f"SendCommand to event: {1000 * took[5]:.0f} ms (median)")
    assert took[5] < 0.3
