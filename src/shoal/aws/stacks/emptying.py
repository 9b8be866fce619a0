"""Emptying what a stack's resources hold, so that the stack can be deleted: buckets and groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from shoal.aws.account import Account, aws_errors, error_code
from shoal.core.errors import ShoalError

BATCH = 1_000  # what DeleteObjects takes, and a listing's page holds
WORKERS_END_S = 900.0
LOOK_EVERY_S = 2.0


class CantEmpty(ShoalError):
    """Objects or workers stay although they were told to go."""

    code = "cant_empty"


class Bucket:
    """A bucket to be emptied.

    Args:
        account: whose.
        name: of the bucket.
    """

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._s3 = account.client("s3")

    def count(self, at_most: int) -> int:
        """How many objects and old versions it holds; counting ends at a limit."""
        return sum(1 for _ in islice(self._versions(), at_most))

    def empty(self, report: Callable[[int], None]) -> None:
        """Delete all objects in all their versions, until none is left.

        Args:
            report: takes how many have gone, again and again.

        Raises:
            CantEmpty: S3 refuses to delete some.
        """
        versions = self._versions()
        while batch := list(islice(versions, BATCH)):
            with aws_errors():
                done = self._s3.delete_objects(
                    Bucket=self.name, Delete={"Objects": batch, "Quiet": True}
                )
            refused = [of for of in done.get("Errors", ()) if of.get("Code") != "NoSuchVersion"]
            if refused:
                first = refused[0]
                raise CantEmpty(
                    f"{len(refused)} objects of bucket {self.name} can't be deleted, first"
                    f" {first.get('Key')!r} ({first.get('Code')}: {first.get('Message', '')})",
                    "have s3:DeleteObjectVersion allowed and locks removed, then run it again",
                )
            report(len(batch))

    def _versions(self) -> Iterator[dict[str, str]]:
        """What DeleteObjects takes, of all versions and delete markers."""
        from botocore.exceptions import ClientError

        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name)
        with aws_errors():
            try:
                for page in pages:
                    for of in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                        yield {"Key": of["Key"], "VersionId": of["VersionId"]}
            except ClientError as error:
                if error_code(error) != "NoSuchBucket":  # an earlier run has deleted it
                    raise


class Group:
    """An Auto Scaling group whose workers are to end.

    Args:
        account: whose.
        name: of the group.
    """

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._autoscaling = account.client("autoscaling")

    def workers(self) -> list[str]:
        """The instances that it has, whatever they do."""
        return [str(of["InstanceId"]) for of in self._describe().get("Instances", ())]

    def end(self, report: Callable[[int], None]) -> None:
        """Let it have no workers, busy and protected ones included, and wait until they ended.

        Args:
            report: takes how many are left, whenever that changes.

        Raises:
            CantEmpty: some are still there after a quarter of an hour.
        """
        if not self._describe():
            return
        with aws_errors():
            # The largest size first of all: nothing can ask for more workers from here on.
            self._autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=self.name, MinSize=0, MaxSize=0, DesiredCapacity=0
            )
        give_up_at = time.monotonic() + WORKERS_END_S
        said = 0
        while workers := self._describe().get("Instances", ()):
            for worker in workers:
                if worker["LifecycleState"].startswith(("InService", "Standby", "Pending")):
                    self._terminate(worker["InstanceId"])
            if len(workers) != said:
                said = len(workers)
                report(said)
            if time.monotonic() > give_up_at:
                raise CantEmpty(
                    f"{said} workers of group {self.name} have not ended in"
                    f" {WORKERS_END_S / 60:g} minutes",
                    "look at them in EC2's console, then run it again",
                )
            time.sleep(LOOK_EVERY_S)

    def _terminate(self, worker: str) -> None:
        """End a worker at once: protection from scale-in does not hold this up."""
        from botocore.exceptions import ClientError

        with aws_errors():
            try:
                self._autoscaling.terminate_instance_in_auto_scaling_group(
                    InstanceId=worker, ShouldDecrementDesiredCapacity=False
                )
            except ClientError as error:
                # It has gone meanwhile, or can't go at this moment: the next look tells.
                if error_code(error) not in (
                    "ValidationError",
                    "ScalingActivityInProgress",
                    "ScalingActivityInProgressFault",
                ):
                    raise

    def _describe(self) -> dict[str, Any]:
        with aws_errors():
            groups = self._autoscaling.describe_auto_scaling_groups(
                AutoScalingGroupNames=[self.name]
            )["AutoScalingGroups"]
        return dict(groups[0]) if groups else {}
