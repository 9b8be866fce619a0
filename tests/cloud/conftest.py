"""What the cloud tests share: one emulated account for the whole suite, and its machines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .emulator import Emulator
from .machines import Machine, Machines
from .parts import BUCKET, GROUP, LOGS, eventually, role


@pytest.fixture(scope="session")
def _account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Machines]]:
    with (
        Machines(tmp_path_factory.mktemp("machines")) as machines,
        Emulator(tmp_path_factory.mktemp("emulator"), machines.url) as emulator,
    ):
        machines.connect(emulator)
        yield emulator, machines


@pytest.fixture(scope="session")
def emulator(_account: tuple[Emulator, Machines]) -> Emulator:
    """The emulated account."""
    return _account[0]


@pytest.fixture
def machines(_account: tuple[Emulator, Machines]) -> Iterator[Machines]:
    """The account's machines: none at the start of a test, and none left at its end."""
    _account[1].reset()
    yield _account[1]
    _account[1].reset()


@pytest.fixture(scope="session")
def grouped(emulator: Emulator) -> Emulator:
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
    return emulator


@pytest.fixture
def worker(grouped: Emulator, machines: Machines) -> Machine:
    """One machine of the group, its agent answering."""
    grouped.client("autoscaling").set_desired_capacity(
        AutoScalingGroupName=GROUP, DesiredCapacity=1
    )
    eventually(lambda: [m for m in machines.alive(GROUP) if m.online])
    return machines.alive(GROUP)[0]
