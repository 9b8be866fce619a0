"""A CloudFormation stack: the state it is in, what it holds, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from shoal.aws.account import aws_errors, error_code
from shoal.core.errors import ShoalError


class StackFailed(ShoalError):
    """An operation on a stack failed, for the reason given."""

    code = "stack_failed"


class StackStuck(ShoalError):
    """A stack is in a state in which it can't be changed."""

    code = "stack_stuck"


class Stack(NamedTuple):
    """A stack as it is.

    Args:
        name: its name.
        stack_id: its ARN, which finds it also when it is deleted.
        status: as CloudFormation has it.
        parameters: values in force.
        outputs: what it tells.
        is_protected: against deletion.
        reason: of its status, if any.
    """

    name: str
    stack_id: str
    status: str
    parameters: dict[str, str]
    outputs: dict[str, str]
    is_protected: bool
    reason: str

    @property
    def is_busy(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def is_empty(self) -> bool:
        """Whether it is only the place of a change set that nobody has executed."""
        return self.status == "REVIEW_IN_PROGRESS"


class Stacks:
    """The stacks of an account and region.

    Args:
        cloudformation: its client.
    """

    def __init__(self, cloudformation: Any) -> None:
        self._cfn = cloudformation

    def find(self, name: str) -> Stack | None:
        """A stack by its name or ARN; None when there is none, or it is deleted."""
        from botocore.exceptions import ClientError

        with aws_errors():
            try:
                found = self._cfn.describe_stacks(StackName=name)["Stacks"][0]
            except ClientError as error:
                if error_code(error) == "ValidationError" and "does not exist" in str(error):
                    return None
                raise
        stack = read_stack(found)
        return None if stack.status == "DELETE_COMPLETE" else stack

    def all(self) -> Iterator[Stack]:
        """Every stack there is."""
        with aws_errors():
            for page in self._cfn.get_paginator("describe_stacks").paginate():
                yield from map(read_stack, page["Stacks"])

    def resources(self, stack: Stack) -> list[tuple[str, str]]:
        """Type and physical name of each resource that a stack has."""
        found = []
        with aws_errors():
            pages = self._cfn.get_paginator("list_stack_resources")
            for page in pages.paginate(StackName=stack.stack_id):
                for resource in page["StackResourceSummaries"]:
                    gone = resource["ResourceStatus"] in ("DELETE_COMPLETE", "DELETE_SKIPPED")
                    if not gone and resource.get("PhysicalResourceId"):
                        found.append((resource["ResourceType"], resource["PhysicalResourceId"]))
        return found


def remedy_for(stack: Stack) -> str:
    """What to do about a stack that an operation left in the state it is in."""
    match stack.status:
        case "DELETE_COMPLETE":
            return "nothing is left of it: correct the cause, then deploy again"
        case "DELETE_FAILED":
            return f"remove the cause, then run 'shoal destroy {stack.name}' again"
        case "UPDATE_ROLLBACK_COMPLETE":
            return "it is as it was before: correct the cause, then deploy again"
        case "UPDATE_ROLLBACK_FAILED":
            return (
                "remove the cause, then run 'aws cloudformation continue-update-rollback"
                f" --stack-name {stack.name}'"
            )
    return f"correct the cause, run 'shoal destroy {stack.name}', then deploy again"


def refuse_stuck(stack: Stack) -> None:
    """Refuse to update a stack that can't be.

    Raises:
        StackStuck: what to do first.
    """
    usable = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
    if stack.is_empty or stack.status in (*usable, "IMPORT_ROLLBACK_COMPLETE"):
        return
    what = f"stack {stack.name} is {stack.status}, and can't be updated"
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise StackStuck(what, remedy_for(stack))
    raise StackStuck(
        what, f"it holds no working system: run 'shoal destroy {stack.name}', then deploy again"
    )


def read_stack(found: dict[str, Any]) -> Stack:
    """A stack, of what DescribeStacks says."""
    return Stack(
        found["StackName"],
        found["StackId"],
        found["StackStatus"],
        {of["ParameterKey"]: of.get("ParameterValue", "") for of in found.get("Parameters", ())},
        {of["OutputKey"]: of["OutputValue"] for of in found.get("Outputs", ())},
        bool(found.get("EnableTerminationProtection", False)),
        found.get("StackStatusReason", ""),
    )
