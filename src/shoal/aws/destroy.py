"""`shoal destroy`: empties and deletes the stacks; interrupted, it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from shoal.aws.account import Account, aws_errors, error_code
from shoal.aws.names import default_queue, jobs_table
from shoal.aws.stacks.emptying import Bucket, Group
from shoal.aws.stacks.following import Follower, Report
from shoal.aws.stacks.plan import SCHEDULER_SUFFIX, TAG_KEY, kind_of
from shoal.aws.stacks.stack import Stack, StackFailed, Stacks
from shoal.aws.stacks.templates import Part
from shoal.core.errors import ShoalError

COUNT_TO = 100_000
"""Objects of a bucket are counted up to this: more take minutes, and change nobody's mind."""

EMPTY_AGAIN = 3
"""Logs on their way arrive in a bucket after it was emptied: how often to try."""

PAGES = 50
"""Of 1 MB each, that are looked through for jobs that are not over."""

UNFINISHED = ("Queued", "Started")


class DestroyRefused(ShoalError):
    """What is to be destroyed is not there, or needed by others; nothing was done."""

    code = "destroy_refused"


class Target(NamedTuple):
    """A stack that is to go, and what goes with it.

    Args:
        part: which of the two it is.
        stack: as it is.
        buckets: their names.
        groups: names of Auto Scaling groups.
        machines: ARNs of state machines.
        objects: in its buckets, counted up to COUNT_TO.
        workers: in its groups.
    """

    part: Part
    stack: Stack
    buckets: list[str]
    groups: list[str]
    machines: list[str]
    objects: int
    workers: int


class Destruction:
    """A run of `shoal destroy`.

    Args:
        account: where.
        report: takes each event.
        say: takes a line on what is being done.
        count: takes how many objects have gone, again and again.
    """

    def __init__(
        self,
        account: Account,
        *,
        report: Report = lambda event: None,
        say: Callable[[str], None] = lambda text: None,
        count: Callable[[int], None] = lambda number: None,
    ) -> None:
        cloudformation = account.client("cloudformation")
        self._account = account
        self._stacks = Stacks(cloudformation)
        self._follower = Follower(cloudformation, report)
        self._say = say
        self._count = count

    def find(self, name: str, part: Part | None) -> list[Target]:
        """What a name stands for, a fleet before its scheduler.

        Args:
            name: of a fleet, whose scheduler goes too if it was deployed with it; or of a
                scheduler.
            part: only this one.

        Raises:
            DestroyRefused: there is nothing, it is not Shoal's, is protected, or others need it.
        """
        names = [name] if part is not None else [name, name + SCHEDULER_SUFFIX]
        found = [stack for of in names if (stack := self._stacks.find(of)) is not None]
        if not found:
            raise DestroyRefused(
                f"there is no stack {' or '.join(names)} in {self._account.region}",
                "name one that is there: 'aws cloudformation list-stacks' lists them; another"
                " region's is NAME@REGION",
            )
        parts = [_part(stack, part) for stack in found]
        for stack in found:
            if stack.is_protected:
                raise DestroyRefused(
                    f"stack {stack.name} is protected against deletion",
                    "take that away with 'aws cloudformation update-termination-protection"
                    f" --no-enable-termination-protection --stack-name {stack.name}'",
                )
        for stack, kind in zip(found, parts, strict=True):
            if kind == "scheduler":
                self._refuse_shared(stack.name, {of.name for of in found})
        return [self._look(stack, kind) for stack, kind in zip(found, parts, strict=True)]

    def unfinished(self, targets: Sequence[Target]) -> int:
        """How many jobs are not over, at least: of a scheduler by its table, of a fleet by its
        queue."""
        schedulers = [target.stack.name for target in targets if target.part == "scheduler"]
        if schedulers:
            return sum(self._in_table(jobs_table(name)) for name in schedulers)
        return sum(self._on_queue(default_queue(target.stack.name)) for target in targets)

    def run(self, targets: Sequence[Target]) -> None:
        """Delete them, one after the other.

        Raises:
            StackFailed: one stays, for the reason given; run the same again.
            CantEmpty: objects or workers stay.
        """
        for target in targets:
            self._destroy(target)

    def _look(self, stack: Stack, part: Part) -> Target:
        resources = self._stacks.resources(stack)

        def of(kind: str) -> list[str]:
            return [name for type_name, name in resources if type_name == kind]

        buckets = of("AWS::S3::Bucket")
        groups = of("AWS::AutoScaling::AutoScalingGroup")
        return Target(
            part,
            stack,
            buckets,
            groups,
            of("AWS::StepFunctions::StateMachine"),
            sum(Bucket(self._account, name).count(COUNT_TO) for name in buckets),
            sum(len(Group(self._account, name).workers()) for name in groups),
        )

    def _refuse_shared(self, scheduler: str, going: set[str]) -> None:
        others = sorted(
            stack.name
            for stack in self._stacks.all()
            if stack.parameters.get(TAG_KEY) == scheduler
            and stack.name not in going
            and stack.status != "DELETE_COMPLETE"
        )
        if others:
            raise DestroyRefused(
                f"scheduler {scheduler} also serves {', '.join(others)}",
                "destroy those first, or only the fleet with --part fleet",
            )

    def _destroy(self, target: Target) -> None:
        stack = target.stack
        if stack.is_busy:
            self._say(f"stack {stack.name} is {stack.status}: waiting for that to end")
            try:
                ended = self._follower.follow(stack.stack_id)
            except StackFailed as error:
                self._say(f"it failed, and is to go anyway: {error.what}")
            else:
                if ended.status == "DELETE_COMPLETE":
                    return
            target = self._look(stack, target.part)  # it may have come to hold more
        for name in target.groups:
            self._say(f"ending the workers of group {name}")
            Group(self._account, name).end(
                lambda left: self._say(f"{left} worker{'s' * (left != 1)} to end")
            )
        for machine in target.machines:
            self._stop_executions(machine)
        for attempt in range(1, EMPTY_AGAIN + 1):
            for name in target.buckets:
                Bucket(self._account, name).empty(self._count)
            self._say(f"deleting stack {stack.name}")
            try:
                self._follower.delete(stack)
            except StackFailed as error:
                if "not empty" not in error.what or attempt == EMPTY_AGAIN:
                    raise
                self._say("something came into a bucket meanwhile: emptying it again")
            else:
                return

    def _stop_executions(self, machine: str) -> None:
        """A state machine goes only when none of its executions is left."""
        from botocore.exceptions import ClientError

        states = self._account.client("stepfunctions")
        stopped = 0
        with aws_errors():
            try:
                pages = states.get_paginator("list_executions").paginate(
                    stateMachineArn=machine, statusFilter="RUNNING"
                )
                for execution in [of for page in pages for of in page["executions"]]:
                    states.stop_execution(
                        executionArn=execution["executionArn"],
                        error="Destroyed",
                        cause="shoal destroy deletes this scheduler",
                    )
                    stopped += 1
            except ClientError as error:
                if error_code(error) not in (
                    "StateMachineDoesNotExist",
                    "StateMachineDeleting",
                    "ExecutionDoesNotExist",
                ):
                    raise
        if stopped:
            self._say(f"stopped {stopped} execution{'s' * (stopped != 1)} of {machine}")

    def _in_table(self, table: str) -> int:
        from botocore.exceptions import ClientError

        pages = (
            self._account.client("dynamodb")
            .get_paginator("scan")
            .paginate(
                TableName=table,
                Select="COUNT",
                FilterExpression="#status IN (:queued, :started)",
                ExpressionAttributeNames={"#status": "Status"},
                ExpressionAttributeValues={
                    f":{status.lower()}": {"S": status} for status in UNFINISHED
                },
            )
        )
        with aws_errors():
            try:
                return sum(int(page["Count"]) for page in islice(pages, PAGES))
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
        return 0  # an earlier run has deleted it

    def _on_queue(self, queue: str) -> int:
        from botocore.exceptions import ClientError

        sqs = self._account.client("sqs")
        names = ("", "NotVisible", "Delayed")
        with aws_errors():
            try:
                found = sqs.get_queue_attributes(
                    QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"],
                    AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names],
                )
            except ClientError as error:
                if "NonExistentQueue" not in error_code(error):
                    raise
                return 0  # an earlier run has deleted it
        return sum(int(number) for number in found.get("Attributes", {}).values())


def _part(stack: Stack, wanted: Part | None) -> Part:
    kind = kind_of(stack)
    if kind is None and (stack.is_empty or stack.status == "DELETE_FAILED"):
        # Nothing can be told by the parameters of a stack that was never made.
        kind = wanted or ("scheduler" if stack.name.endswith(SCHEDULER_SUFFIX) else "fleet")
    if kind is None:
        raise DestroyRefused(
            f"stack {stack.name} is not one of Shoal's", "name a stack that shoal deploy has made"
        )
    if wanted is not None and kind != wanted:
        other = f" (its scheduler may be {stack.name}{SCHEDULER_SUFFIX})" * (kind == "fleet")
        raise DestroyRefused(
            f"stack {stack.name} is a {kind}, no {wanted}",
            f"say --part {kind}, or name a {wanted}{other}",
        )
    return kind
