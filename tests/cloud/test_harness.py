"""The harness of the cloud tests does what its users rely on."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from .emulator import Emulator
from .machines import Machine, Machines

BUCKET = "harness-000000000000-files"
LOGS = "/harness/live"
GROUP = "harness-group"


def eventually(met: Callable[[], Any], within_s: float = 10.0) -> Any:
    """What `met` returns once that is true."""
    deadline = time.monotonic() + within_s
    while not (found := met()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
    return found


def role(emulator: Emulator, name: str, service: str, statements: list[dict[str, Any]]) -> str:
    """A role that a service may take on, with one inline policy; its ARN."""
    iam = emulator.client("iam")
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(
            RoleName=name,
            PolicyName="what-it-may",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        )
    return str(arn)


def function(emulator: Emulator, name: str, role_arn: str, code: str) -> str:
    """A function; its ARN."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("main.py", code)
    made = emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role_arn,
        Handler="main.handle",
        Code={"ZipFile": file.getvalue()},
        Timeout=30,
    )
    return str(made["FunctionArn"])


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> Iterator[Emulator]:
    """An account with a bucket, a log group and a group of at most two workers."""
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    emulator.client("logs").create_log_group(logGroupName=LOGS)
    role(
        emulator,
        "harness-worker",
        "ec2",
        [
            {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject"],
                "Resource": f"arn:aws:s3:::{BUCKET}/*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:aws:s3:::{BUCKET}",
            },
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"arn:aws:logs:*:*:log-group:{LOGS}:*",
            },
        ],
    )
    iam, ec2 = emulator.client("iam"), emulator.client("ec2")
    iam.create_instance_profile(InstanceProfileName="harness-worker")
    iam.add_role_to_instance_profile(
        InstanceProfileName="harness-worker", RoleName="harness-worker"
    )
    ec2.create_launch_template(
        LaunchTemplateName="harness-template",
        LaunchTemplateData={
            "ImageId": "ami-12345678",
            "InstanceType": "c7i.large",
            "IamInstanceProfile": {"Name": "harness-worker"},
        },
    )
    emulator.session_client("autoscaling", url=emulator.url).create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        MinSize=0,
        MaxSize=2,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateName": "harness-template", "Version": "$Latest"},
        Tags=[
            {"Key": "harness", "Value": "job-queue", "PropagateAtLaunch": True},
            {"Key": "cost", "Value": "centre", "PropagateAtLaunch": False},
        ],
    )
    yield emulator


@pytest.fixture
def worker(account: Emulator, machines: Machines) -> Machine:
    """One machine of the group, its agent answering."""
    account.client("autoscaling").set_desired_capacity(
        AutoScalingGroupName=GROUP, DesiredCapacity=1
    )
    eventually(lambda: [m for m in machines.alive(GROUP) if m.online])
    return machines.alive(GROUP)[0]


def send(emulator: Emulator, machine: Machine, *lines: str, **more: Any) -> str:
    """Send a script; the command's id."""
    parameters = {"commands": list(lines)} | more.pop("parameters", {})
    sent = emulator.client("ssm").send_command(
        InstanceIds=[machine.instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters=parameters,
        **more,
    )
    return str(sent["Command"]["CommandId"])


def ended(emulator: Emulator, machine: Machine, command_id: str) -> dict[str, Any]:
    """A command's end, as the API tells it."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = emulator.client("ssm").get_command_invocation(
            CommandId=command_id, InstanceId=machine.instance_id
        )
        return found if found["Status"] not in ("Pending", "InProgress", "Cancelling") else None

    found: dict[str, Any] = eventually(look)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The code of the error that a call ends in."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_group_launches_what_is_wanted(account: Emulator, worker: Machine) -> None:
    """A machine of a group has the group's propagated tags, and its template's type."""
    found = account.client("ec2").describe_instances(InstanceIds=[worker.instance_id])
    instance = found["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags == {"harness": "job-queue", "aws:autoscaling:groupName": GROUP}
    assert instance["InstanceType"] == "c7i.large"
    described = account.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[GROUP]
    )["AutoScalingGroups"][0]
    assert described["DesiredCapacity"] == 1
    assert [i["InstanceId"] for i in described["Instances"]] == [worker.instance_id]


def test_a_group_keeps_its_limits(account: Emulator, machines: Machines) -> None:
    """More than the maximum is refused, and so is an unknown group or instance."""
    scaling = account.client("autoscaling")
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
    account: Emulator, machines: Machines, worker: Machine
) -> None:
    """A killed machine is replaced; one that is terminated with its capacity is not."""
    machines.kill(worker.instance_id)
    (second,) = eventually(lambda: [m for m in machines.alive(GROUP) if m.online])
    assert second.instance_id != worker.instance_id
    account.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=second.instance_id, ShouldDecrementDesiredCapacity=True
    )
    eventually(lambda: not machines.fleet.members(GROUP))
    assert machines.capacity(GROUP) == 0
    time.sleep(0.3)
    assert not machines.alive(GROUP)


def test_protected_machines_outlive_scale_in(
    account: Emulator, machines: Machines, worker: Machine
) -> None:
    """Scale-in takes the unprotected machines only."""
    scaling = account.client("autoscaling")
    scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    eventually(lambda: len(machines.alive(GROUP)) == 2)
    scaling.set_instance_protection(
        AutoScalingGroupName=GROUP, InstanceIds=[worker.instance_id], ProtectedFromScaleIn=True
    )
    scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0)
    eventually(lambda: machines.alive(GROUP) == [worker])
    time.sleep(0.3)
    assert machines.alive(GROUP) == [worker]


def test_a_machine_launched_by_hand(account: Emulator, machines: Machines) -> None:
    """An instance that somebody launches gets an agent, and ends when it is terminated."""
    ec2 = account.client("ec2")
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
    account: Emulator, machines: Machines, worker: Machine
) -> None:
    """Lines run as one script; its outputs and exit code are shown, its end is published."""
    command = send(account, worker, "x=out", "echo $x", "echo err >&2", "exit 7")
    end = ended(account, worker, command)
    assert (end["Status"], end["ResponseCode"]) == ("Failed", 7)
    assert (end["StandardOutputContent"], end["StandardErrorContent"]) == ("out\n", "err\n")
    eventually(lambda: machines.events.published["aws.ssm Failed"] == 1)
    assert machines.violations == []


def test_full_output_in_s3(account: Emulator, worker: Machine) -> None:
    """S3 holds all of the output, the API its first 24,000 characters."""
    command = send(
        account,
        worker,
        "#!/usr/bin/env bash",
        "printf 'x%.0s' {1..30000}; echo END",
        OutputS3BucketName=BUCKET,
        OutputS3KeyPrefix="job-queue",
    )
    assert len(ended(account, worker, command)["StandardOutputContent"]) == 24_000
    plugin = "awsrunShellScript/0.awsrunShellScript"
    key = f"job-queue/{command}/{worker.instance_id}/{plugin}/stdout"
    body = account.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert body == b"x" * 30_000 + b"END\n"


def test_output_while_it_runs(account: Emulator, worker: Machine) -> None:
    """Lines reach CloudWatch Logs before the command ends."""
    command = send(
        account,
        worker,
        "echo first; sleep 60",
        CloudWatchOutputConfig={
            "CloudWatchOutputEnabled": True,
            "CloudWatchLogGroupName": LOGS,
        },
    )

    def look() -> list[str]:
        try:
            found = account.client("logs").get_log_events(
                logGroupName=LOGS,
                logStreamName=f"{command}/{worker.instance_id}/aws-runShellScript/stdout",
            )
        except account.client("logs").exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]

    assert eventually(look) == ["first"]
    account.client("ssm").cancel_command(CommandId=command)
    assert ended(account, worker, command)["Status"] == "Cancelled"


def test_a_command_that_takes_too_long(account: Emulator, worker: Machine) -> None:
    """A command over its executionTimeout is ended, with all that it started."""
    command = send(
        account, worker, "sleep 61 & echo $!", "wait", parameters={"executionTimeout": ["1"]}
    )
    end = ended(account, worker, command)
    assert (end["Status"], end["StatusDetails"]) == ("TimedOut", "Execution Timed Out")
    eventually(lambda: gone(int(end["StandardOutputContent"])))


def test_what_send_command_refuses(account: Emulator, machines: Machines, worker: Machine) -> None:
    """A long comment, an unknown document and a machine that is not there are refused."""
    ssm = account.client("ssm")
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


def test_a_machine_acts_under_its_own_role(account: Emulator, worker: Machine) -> None:
    """The real AWS command line works in scripts, within what the machine's role allows."""
    command = send(
        account,
        worker,
        "mkdir -p $SHOAL_ROOT/a && echo hello > $SHOAL_ROOT/a/b && cd $SHOAL_ROOT",
        f"aws s3 sync --only-show-errors a s3://{BUCKET}/synced || exit 9",
        f"echo streamed | aws s3 cp - s3://{BUCKET}/synced/c",
        "aws dynamodb list-tables",
    )
    end = ended(account, worker, command)
    assert end["Status"] == "Failed", end
    assert "AccessDenied" in end["StandardErrorContent"]
    s3 = account.client("s3")
    assert s3.get_object(Bucket=BUCKET, Key="synced/b")["Body"].read() == b"hello\n"
    assert s3.get_object(Bucket=BUCKET, Key="synced/c")["Body"].read() == b"streamed\n"


def test_a_function_is_held_to_its_role(account: Emulator, worker: Machine) -> None:
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
        account,
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
    function(account, "harness-caller", arn, code)

    def call(service: str, name: str, **arguments: Any) -> str:
        event = {"service": service, "call": name, "arguments": arguments}
        answer = account.client("lambda").invoke(
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
    account: Emulator, machines: Machines, worker: Machine
) -> None:
    """A dropped event is published nowhere; others arrive."""
    machines.drop_next_events(1)
    ended(account, worker, send(account, worker, "true"))
    eventually(lambda: machines.events.dropped)
    assert machines.events.published["aws.ssm Success"] == 0
    ended(account, worker, send(account, worker, "true"))
    eventually(lambda: machines.events.published["aws.ssm Success"] == 1)


def test_the_stand_in_is_quick(account: Emulator, machines: Machines, worker: Machine) -> None:
    """From SendCommand to the event of its end a short command takes a few hundredths."""
    took = []
    for _ in range(10):
        before = machines.events.published["aws.ssm Success"]
        start = time.monotonic()
        send(account, worker, "true")
        while machines.events.published["aws.ssm Success"] == before:
            time.sleep(0.001)
        took.append(time.monotonic() - start)
    took.sort()
    print(f"SendCommand to event: {1000 * took[5]:.0f} ms (median)")
    assert took[5] < 0.3
