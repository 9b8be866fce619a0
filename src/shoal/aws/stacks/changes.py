"""Change sets: what a template would change, and doing it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

from shoal.aws.account import aws_errors
from shoal.aws.stacks.following import (
    ASK_EVENTS,
    FIRST_PAUSE_S,
    GROWTH,
    LONGEST_PAUSE_S,
    Follower,
    validation_errors,
)
from shoal.aws.stacks.stack import Stack, StackFailed, Stacks

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
NOTHING = ("didn't contain changes", "No updates are to be performed")


class Change(NamedTuple):
    """What a change set does to a resource.

    Args:
        action: Add, Modify, Remove...
        resource: its name in the template.
        kind: its type.
        replaces: whether a Modify makes a new one: True, False or Conditional.
    """

    action: str
    resource: str
    kind: str
    replaces: str


class ChangeSet(NamedTuple):
    """A change set that can be executed.

    Args:
        arn: its name.
        stack_id: the ARN of its stack.
        is_new: whether that stack is still to be made.
        changes: what it does.
    """

    arn: str
    stack_id: str
    is_new: bool
    changes: list[Change]


class ChangeSets:
    """Makes and executes change sets.

    Args:
        cloudformation: its client.
        follower: sees the execution to its end.
    """

    def __init__(self, cloudformation: Any, follower: Follower) -> None:
        self._cfn = cloudformation
        self._stacks = Stacks(cloudformation)
        self._follower = follower

    def prepare(
        self, name: str, existing: Stack | None, url: str, parameters: list[dict[str, Any]]
    ) -> ChangeSet | None:
        """Make a change set; None when it would change nothing.

        Args:
            name: of the stack.
            existing: the stack, when there is one.
            url: of the template.
            parameters: as CloudFormation takes them.

        Raises:
            StackFailed: the template or its parameters are refused.
        """
        is_new = existing is None or existing.is_empty
        # A stack that can't be made is taken away again: the next try finds a clean place.
        create: dict[str, Any] = {"OnStackFailure": "DELETE"} if is_new else {}
        with aws_errors():
            made = self._cfn.create_change_set(
                StackName=name,
                ChangeSetName=f"shoal-{uuid.uuid4().hex}",
                ChangeSetType="CREATE" if is_new else "UPDATE",
                TemplateURL=url,
                Parameters=parameters,
                Capabilities=list(CAPABILITIES),
                Description="by shoal deploy",
                **create,
            )
            change_set = ChangeSet(made["Id"], made["StackId"], is_new, [])
            try:
                reason = self._wait_for_change_set(change_set)
                if reason is not None and ASK_EVENTS in reason:
                    reason = validation_errors(self._cfn, ChangeSetName=change_set.arn) or reason
                if reason is None:
                    return change_set._replace(changes=list(self._changes(change_set)))
            except BaseException:
                self.discard(change_set)
                raise
        self.discard(change_set)
        if any(text in reason for text in NOTHING):
            return None
        raise StackFailed(
            f"CloudFormation refuses the changes of stack {name} ({reason.rstrip('. ')})",
            "correct what it names, then deploy again",
        )

    def execute(self, change_set: ChangeSet, name: str) -> Stack:
        """Execute a change set and follow it to its end.

        Raises:
            StackFailed: with the reason of the first resource that failed.
        """
        seen = self._follower.newest_event(change_set.stack_id)
        with aws_errors():
            self._cfn.execute_change_set(ChangeSetName=change_set.arn, StackName=name)
        return self._follower.follow(change_set.stack_id, seen, is_new=change_set.is_new)

    def discard(self, change_set: ChangeSet) -> None:
        """Delete a change set, and the empty stack that came with it."""
        with aws_errors():
            self._cfn.delete_change_set(ChangeSetName=change_set.arn, StackName=change_set.stack_id)
            stack = self._stacks.find(change_set.stack_id)
            if stack is None or not stack.is_empty:
                return
            others = self._cfn.list_change_sets(StackName=change_set.stack_id)["Summaries"]
            if not others:
                self._cfn.delete_stack(StackName=change_set.stack_id)

    def _wait_for_change_set(self, change_set: ChangeSet) -> str | None:
        """Why it can't be executed, or None when it can."""
        pause_s = FIRST_PAUSE_S
        while True:
            found = self._cfn.describe_change_set(
                ChangeSetName=change_set.arn, StackName=change_set.stack_id
            )
            status = found["Status"]
            if status == "CREATE_COMPLETE":
                return None
            if status not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                return str(found.get("StatusReason") or status)
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * GROWTH)

    def _changes(self, change_set: ChangeSet) -> Iterator[Change]:
        pages = self._cfn.get_paginator("describe_change_set").paginate(
            ChangeSetName=change_set.arn, StackName=change_set.stack_id
        )
        for page in pages:
            for change in page["Changes"]:
                of = change["ResourceChange"]
                yield Change(
                    of["Action"],
                    of["LogicalResourceId"],
                    of["ResourceType"],
                    of.get("Replacement", ""),
                )
