"""Following an operation on a stack, event by event, to its end or to the reason of its failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from shoal.aws.account import aws_errors
from shoal.aws.stacks.stack import Stack, StackFailed, read_stack, remedy_for

FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 0.2, 3.0, 1.5
"""Between two looks at an operation: a small stack is soon done, a big one takes minutes."""

DELETION_BEGINS_S = 30.0
CANCELLED = ("Resource creation cancelled", "Resource update cancelled")
ASK_EVENTS = "DescribeEvents"
"""What CloudFormation's reasons say when they don't hold the reason."""

STACK_TYPE = "AWS::CloudFormation::Stack"
STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


class StackEvent(NamedTuple):
    """What happened to a resource, or to the stack itself.

    Args:
        at: when, in seconds since 1970.
        resource: its name in the template; the stack's for itself.
        kind: its type.
        physical_id: its name on AWS, if it has one yet.
        status: what it has come to.
        reason: why, when there is something to say.
    """

    at: float
    resource: str
    kind: str
    physical_id: str
    status: str
    reason: str

    @property
    def is_failure(self) -> bool:
        """Whether this says of itself that it failed, and not because others did."""
        return self.status.endswith("_FAILED") and not self.reason.startswith(CANCELLED)


Report = Callable[[StackEvent], None]


class Follower:
    """Follows operations.

    Args:
        cloudformation: its client.
        report: takes each event.
    """

    def __init__(self, cloudformation: Any, report: Report) -> None:
        self._cfn = cloudformation
        self._report = report

    def delete(self, stack: Stack) -> None:
        """Delete a stack and follow it to its end.

        Raises:
            StackFailed: with the reason of the first resource that stays.
        """
        seen = self.newest_event(stack.stack_id)
        with aws_errors():
            self._cfn.delete_stack(StackName=stack.stack_id)
        self.follow(stack.stack_id, seen)

    def follow(self, stack_id: str, seen: str | None = None, *, is_new: bool = False) -> Stack:
        """Report the events of the operation under way until it ends.

        Args:
            stack_id: the stack's ARN.
            seen: the id of the newest event that is not this operation's; None when others
                have begun it: what happened up to now is then not reported.
            is_new: it is being made, and to be deleted should that fail: wait for that as well.

        Raises:
            StackFailed: it failed, for the reason given.
        """
        happened, last = ([], seen) if seen is not None else self._operation_so_far(stack_id)
        pause_s, rolled_back_s = FIRST_PAUSE_S, 0.0
        while True:
            # Status first: events that come before it are then sure to be read after it.
            with aws_errors():
                stack = read_stack(self._cfn.describe_stacks(StackName=stack_id)["Stacks"][0])
            news, last = self._events_since(stack_id, last)
            for event in news:
                happened.append(event)
                self._report(event)
            if not stack.is_busy:
                if not (is_new and stack.status == "ROLLBACK_COMPLETE"):
                    break
                rolled_back_s += pause_s  # its deletion is to begin in a moment
                if rolled_back_s > DELETION_BEGINS_S:
                    break
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * GROWTH)
        is_deleted = stack.status == "DELETE_COMPLETE" and not is_new
        if is_deleted or stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
            return stack
        failures = [event for event in happened if event.is_failure]
        inner = [event for event in failures if event.physical_id != stack_id]
        raise StackFailed(*self._what_failed(stack, next(iter(inner or failures), None)))

    def _what_failed(self, stack: Stack, failure: StackEvent | None) -> tuple[str, str]:
        if failure is None:
            reason = stack.reason or "CloudFormation gives no reason"
            return (
                f"stack {stack.name} ended as {stack.status} ({reason.rstrip('. ')})",
                remedy_for(stack),
            )
        failure = self._innermost(failure)
        if ASK_EVENTS in failure.reason:
            said = validation_errors(self._cfn, StackName=stack.stack_id) or failure.reason
        else:
            reason = failure.reason.rstrip(". ") or "without a reason"
            said = f"{failure.resource} ({failure.kind}) ended as {failure.status} ({reason})"
        return f"stack {stack.name}: {said}; the stack is {stack.status}", remedy_for(stack)

    def _innermost(self, failure: StackEvent) -> StackEvent:
        """What failed in the nested stack that failed, if it was one."""
        if failure.kind != STACK_TYPE or not failure.physical_id.startswith("arn:"):
            return failure
        inside = self._events_since(failure.physical_id, None)[0]
        for event in inside:
            if event.is_failure and event.physical_id != failure.physical_id:
                return self._innermost(event)
        return failure

    def newest_event(self, stack_id: str) -> str | None:
        """The id of the newest event of a stack."""
        with aws_errors():
            events = self._cfn.describe_stack_events(StackName=stack_id)["StackEvents"]
        return str(events[0]["EventId"]) if events else None

    def _operation_so_far(self, stack_id: str) -> tuple[list[StackEvent], str | None]:
        """The events of the newest operation up to now, and the id of the newest."""
        events, newest = self._events_since(stack_id, None)
        starts = [
            at
            for at, event in enumerate(events)
            if event.physical_id == stack_id and event.status in STARTS
        ]
        return events[starts[-1] :] if starts else events, newest

    def _events_since(self, stack_id: str, last: str | None) -> tuple[list[StackEvent], str | None]:
        """Events after one, oldest first, and the id of the newest."""
        news: list[dict[str, Any]] = []
        with aws_errors():
            pages = self._cfn.get_paginator("describe_stack_events").paginate(StackName=stack_id)
            for event in (event for page in pages for event in page["StackEvents"]):
                if event["EventId"] == last:
                    break
                news.append(event)
        newest = news[0]["EventId"] if news else last
        return [_event(event) for event in reversed(news)], newest


def validation_errors(cloudformation: Any, **of: str) -> str:
    """What CloudFormation found before it began anything; such is not among a stack's events.

    Args:
        cloudformation: its client.
        of: `StackName` or `ChangeSetName`.
    """
    with aws_errors():
        events = cloudformation.describe_events(Filters={"FailedEvents": True}, **of)
    found = [of for of in events["OperationEvents"] if of.get("EventType") == "VALIDATION_ERROR"]
    return "; ".join(
        f"{event['LogicalResourceId']} ({event.get('ResourceType', '')}) is refused"
        f" ({event.get('ValidationStatusReason', '').rstrip('. ')})"
        for event in found
        if event["OperationId"] == found[0]["OperationId"]
    )


def _event(found: dict[str, Any]) -> StackEvent:
    return StackEvent(
        found["Timestamp"].timestamp(),
        found["LogicalResourceId"],
        found.get("ResourceType", ""),
        found.get("PhysicalResourceId", ""),
        found["ResourceStatus"],
        found.get("ResourceStatusReason", ""),
    )
