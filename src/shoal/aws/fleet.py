"""Workers as EC2 knows them: who is there, which queue they serve, and how one is given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from shoal.aws.reader import CONFIG

NOT_BY_GROUP = ("ValidationError", "AccessDenied", "AccessDeniedException")
"""Its group needs a minimum, or is not tagged as its instances are, so is none of our business."""

GROUP_TAG = "aws:autoscaling:groupName"
ALIVE = ("pending", "running")
ENDED = ("shutting-down", "terminated")


class Instance(NamedTuple):
    """An instance that is tagged for a scheduler.

    Args:
        worker: its id.
        queue: the tag's value.
        group: the Auto Scaling group it is in, or nothing.
        state: as EC2 names it.
        launched_at: in seconds since the epoch.
    """

    worker: str
    queue: str
    group: str
    state: str
    launched_at: float


class Ec2Fleet:
    """The instances tagged for a scheduler.

    Args:
        session: of boto3.
        tag_key: the scheduler's name.
    """

    def __init__(self, session: Any, tag_key: str) -> None:
        self._ec2 = session.client("ec2", config=CONFIG)
        self._session = session
        self._tag_key = tag_key

    def find(self, worker: str) -> Instance | None:
        """An instance; None: EC2 knows it no more, or it is not tagged."""
        try:
            found = self._ec2.describe_instances(InstanceIds=[worker])
        except ClientError as error:
            if error.response["Error"]["Code"].startswith("InvalidInstanceID"):
                return None
            raise
        return next(self._instances([found]), None)

    def all(self) -> list[Instance]:
        """All tagged instances that are not gone."""
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "tag-key", "Values": [self._tag_key]},
                {"Name": "instance-state-name", "Values": [*ALIVE, "stopping", "stopped"]},
            ]
        )
        return list(self._instances(pages))

    def retire(self, worker: str) -> str:
        """End a worker, and with it its place in the group; what state it was in.

        An instance of a group that needs a minimum is replaced; any other one is not.
        """
        instance = self.find(worker)
        if instance is None or instance.state in ENDED:
            return "gone"
        if not instance.group or not self._leave_group(instance):
            self._ec2.terminate_instances(InstanceIds=[worker])
        return instance.state

    def protect(self, worker: str, group: str) -> None:
        """Protect a worker from scale-in."""
        self._autoscaling.set_instance_protection(
            InstanceIds=[worker], AutoScalingGroupName=group, ProtectedFromScaleIn=True
        )

    def _leave_group(self, instance: Instance) -> bool:
        for decrement in (True, False):  # a group of a minimum size keeps its capacity
            try:
                self._autoscaling.terminate_instance_in_auto_scaling_group(
                    InstanceId=instance.worker, ShouldDecrementDesiredCapacity=decrement
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in NOT_BY_GROUP:
                    raise
            else:
                return True
        return False

    @property
    def _autoscaling(self) -> Any:
        return self._session.client("autoscaling", config=CONFIG)

    def _instances(self, pages: Iterable[Any]) -> Iterator[Instance]:
        for page in pages:
            for reservation in page["Reservations"]:
                for found in reservation["Instances"]:
                    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}
                    if self._tag_key in tags:
                        yield Instance(
                            found["InstanceId"],
                            tags[self._tag_key],
                            tags.get(GROUP_TAG, ""),
                            found["State"]["Name"],
                            found["LaunchTime"].timestamp(),
                        )
